# SPDX-License-Identifier: Apache-2.0
"""What the commands of bench/run share; servers and programs come from tests/system/lib."""
