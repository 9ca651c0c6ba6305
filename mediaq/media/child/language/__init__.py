"""What can be told of a text without a model: its language, figures, phrases and summary."""
