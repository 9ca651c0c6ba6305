"""Reading documents: each form by a module of its own, all within stated bounds."""
