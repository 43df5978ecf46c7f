"""Makes sobol.bin: direction numbers of the Sobol sequence for the first 1,024 dimensions.

The numbers are those of Joe and Kuo (2008), "Constructing Sobol sequences with better two-dimensional projections", SIAM J.
Sci. Comput. 30, file new-joe-kuo-6.21201 of https://web.maths.unsw.edu.au/~fkuo/sobol/, read from the copy that SciPy carries.
Run with SciPy installed:

    python make_sobol_table.py

Format: per dimension 14 unsigned 16-bit numbers, little endian. First the primitive polynomial with all its coefficients, the
highest in the highest bit; then the initial direction numbers m_1, m_2, ..., as many as the polynomial's degree, padded with 0.
Dimension 1 has the polynomial 1 and no numbers: it is the van der Corput sequence.
"""

import pathlib
import struct

import numpy
import scipy.stats

DIMENSIONS = 1024
NUMBERS = 13


def main() -> None:
    source = pathlib.Path(scipy.stats.__file__).parent / "_sobol_direction_numbers.npz"
    with numpy.load(source) as table:
        polynomials, initial = table["poly"], table["vinit"]
    out = bytearray()
    for dimension in range(DIMENSIONS):
        polynomial = int(polynomials[dimension])
        degree = polynomial.bit_length() - 1
        numbers = [int(number) for number in initial[dimension][:degree]]
        assert degree <= NUMBERS and all(number % 2 == 1 and number < 2 ** (i + 1) for i, number in enumerate(numbers))
        out += struct.pack(f"<{NUMBERS + 1}H", polynomial, *numbers, *[0] * (NUMBERS - degree))
    (pathlib.Path(__file__).parent / "sobol.bin").write_bytes(out)


if __name__ == "__main__":
    main()
