"""The behaviour generator: plausible behaviours that no log holds, inferred by masked diffusion.

The room is laid out and empty on purpose. Here will live the native model, absorbing-state discrete
diffusion over semantic-ID tokens (in the line of MDLM and LLaDA), its training loss, and the
decoding that fills masked slots only along paths that are items of the catalogue, behind a
`BehaviourModel` port. What it generates is marked as generated everywhere and never mixed with the
log.
"""
