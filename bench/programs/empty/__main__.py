"""No resources: what a preview takes before it has anything to do."""

import pulumi

__all__ = ["pulumi"]
