"""Work on foreign bytes, all of it behind a child process."""
