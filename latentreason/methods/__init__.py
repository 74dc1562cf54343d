"""One folder per method: settings, config, layout, model, generate, README."""
