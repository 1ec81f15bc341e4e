"""How large a program may be: memory, time and sums stay bounded whatever the bytes say."""

from __future__ import annotations

MAX_FEATURES = 1 << 20
MAX_PARTS = 64
MAX_ITEMS = 1 << 26  #: nodes, leaves, table values, cuts, set words of a part
MAX_SCALE_BITS = 52
MAX_SCORE = (1 << 53) - 1  #: scores saturate here, so that JSON, JavaScript and SQL keep them
MAX_SUM = 1 << 60  #: of absolute terms: no int64 sum overflows, no reason does
MAX_COVER = 2.0**1000  #: the sum of two covers stays finite
MAX_TREE_WORK = 1 << 25  #: nodes of a tree x its quadrature nodes: scratch memory of the reasons
MAX_WORK = 1 << 32  #: the same over all trees: time of one row's reasons
MAX_TOTALS = 1 << 25  #: columns x quadrature nodes of a tree: running totals of a row's reasons
MAX_COLUMN_PASSES = 1 << 28  #: columns x parts, those of members too: time to make ready

MAX_NUMBER = 2.0**200  #: of prepared numbers, support vectors, gamma: no product overflows
MAX_UNIT = 2.0**500  #: of a network's units
MAX_INPUTS = 1 << 16  #: prepared numbers
MAX_LAYERS = 16
MAX_DEGREE = 16
MAX_SHIFT = 12  #: bits by which a kernel machine's terms are finer than a score
MAX_MEMBERS = 64
MAX_NESTING = 3  #: stacks within stacks
MAX_PATHS = 1 << 10  #: permutations of one estimate
MAX_ESTIMATED = 1 << 51  #: a part's largest sum: over all permutations it stays an int64
MAX_ROW_WORK = 1 << 28  #: multiplications or comparisons of a row's score
MAX_ESTIMATE_WORK = 1 << 38  #: the same for the estimate of one row's reasons
