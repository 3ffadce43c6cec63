"""The tests, by layer. The assertions of modules that hold no tests show what they found, as those of tests do."""

import pytest

pytest.register_assert_rewrite("tests.lab", "tests.unit", "tests.components", "tests.contract")
