"""Pages in the browser: a server for one's own computer, an explorer of runs, people who play with agents."""
