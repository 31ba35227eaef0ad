"""Sphinx's settings for the course's website; `labkit site` copies them beside the sources that it gathers.

Nothing here may load anything from the web: tests/author/test_site.py opens every page and counts requests.
"""

from labkit import __version__

project = "Open Models Lab"
author = "The Open Models Lab authors"
copyright = author + ": text and figures CC BY 4.0, code Apache-2.0"
release = __version__
language = "en"

extensions = ["myst_nb", "sphinx.ext.autodoc", "author.site.glossary"]
nb_execution_mode = "off"  # the pages show what the notebooks store
nb_ipywidgets_js = {}  # no widget manager from a CDN: author/site/live.py says what is alive instead
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # an answer key or a changelog may begin a section below another's level

smartquotes = False  # the pages say what the lessons say, sign by sign
default_role = "code"  # docstrings write `name` as markdown does
autodoc_member_order = "bysource"
autodoc_typehints = "signature"

html_theme = "furo"
html_title = "Open Models Lab"
html_static_path = ["_static"]
html_css_files = ["course.css"]
html_js_files = [("live.js", {"defer": "defer"})]
html_copy_source = False
html_show_sourcelink = False
html_show_search_summary = False  # it would fetch pages, which a browser refuses for pages on a disk
html_theme_options = {"navigation_with_keys": True, "footer_icons": []}
