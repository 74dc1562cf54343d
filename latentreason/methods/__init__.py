"""One folder per method: settings, layout, model and README, with config and generate of their own
where they are long."""
