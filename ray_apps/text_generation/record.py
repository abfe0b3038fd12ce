"""`python -m ray_apps.text_generation.record`: see `ray_apps.text_generation.recording`.

vLLM's processes import the program that started them once more, and do not bear every library in
it; so this one imports nothing until it runs.
"""

if __name__ == "__main__":
    from ray_apps.text_generation.recording import main

    main()
