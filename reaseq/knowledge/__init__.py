"""Item knowledge: what an item is and who needs it, distilled by LLM agents before anyone clicks.

The room is laid out and empty on purpose. Here will live the agents (schema, product, demand and
critic, each one structured call behind a `TextGenerator` port) and the `ItemKnowledge` record they
make, with its provenance: content hash, prompt version, model, tokens, verdict. The language model
itself stays outside: it runs as a Ray Serve application of `ray_apps`.
"""
