"""What other packages bring: sources, encoders, probability methods, output formats, by name."""
