"""The door of `python -m bench`. Each process of a run opens it again, and must not load what it does not measure."""

if __name__ == "__main__":
    from bench.command import main

    main()
