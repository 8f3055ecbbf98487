"""What is on disk under results/, written whole or not at all."""
