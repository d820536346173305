"""A project that pushforward knows nothing of: shares by bucket of one number, trained in no time."""
