"""`python -m pushforward`."""

from pushforward.commands.cli import main

if __name__ == "__main__":
    main()
