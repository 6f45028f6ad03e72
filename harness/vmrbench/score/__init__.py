"""From stored predictions to numbers with intervals."""
