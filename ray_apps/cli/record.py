"""`python -m ray_apps.cli.record`: see `ray_apps.cli.record_command`.

vLLM's processes import the program that started them once more, and do not bear every library in
it; so this one imports nothing until it runs.
"""

if __name__ == "__main__":
    from ray_apps.cli.record_command import main

    main()
