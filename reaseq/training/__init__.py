"""What every training has in common, whatever model it trains."""
