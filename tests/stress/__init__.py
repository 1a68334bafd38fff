"""Programs that stress jaxae for a long time and record what they saw below `records`; their tests take samples."""
