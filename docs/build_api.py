"""Write the API reference from the docstrings: ``python docs/build_api.py [FOLDER]`` (default ``site``)."""

import importlib
import pathlib
import pkgutil
import sys
import warnings

import pdoc

import rpax


def main(folder: str = "site") -> None:
    """Render every module of the package that is not about the command line."""
    # The package imports its names when they are first used; pdoc looks at what is there.
    for name in rpax.__all__:
        setattr(rpax, name, getattr(rpax, name))
    names = [module.name for module in pkgutil.walk_packages(rpax.__path__, "rpax.")]
    modules = [name for name in names if not name.startswith(("rpax.cli", "rpax.__main__"))]
    for name in modules:
        importlib.import_module(name)
    # Packages hold their modules, so these are found twice.
    warnings.filterwarnings("ignore", message="The module specification")
    pdoc.render.configure(math=True, docformat="google", footer_text=f"rpax {rpax.__version__}")
    pdoc.pdoc("rpax", *modules, output_directory=pathlib.Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
