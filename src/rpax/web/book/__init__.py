"""All data of the explorer as plain dictionaries: runs that may still be trained, their cross-play, recordings."""

from rpax.web.book.book import Book as Book
from rpax.web.book.book import Missing as Missing
from rpax.web.book.book import known_settings as known_settings
from rpax.web.book.episodes import PICKS as PICKS
from rpax.web.book.grid import PlaySettings as PlaySettings
