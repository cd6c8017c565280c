"""Pictures and tables of objectives, games and runs; matplotlib is imported when a picture is drawn."""
