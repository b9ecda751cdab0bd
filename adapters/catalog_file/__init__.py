"""Catalog files: what a person writes in YAML or JSON, read strictly, every fault with its line."""

from adapters.catalog_file.read import read_catalog

__all__ = ["read_catalog"]
