"""A project: a file or a folder of definitions, read and checked as a whole."""

from .define_project import Project as Project
