"""The Serve application: an HTTP gateway and the recommender behind it."""
