# distutils: language = c++
# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Scans of rows in native code, for one level; `paradox.kernels` is its face.

Arguments are trusted: `paradox.kernels` checks them. Matrices are float32, int8, or the bits of
float16 as uint16; each row is contiguous. Metrics are positions in `paradox.core.metric.METRICS`.
Results are written into the arrays given.
"""

from libc.stdint cimport int8_t, int64_t, uint8_t, uint16_t


cdef extern from "paradox/matrix.hpp" namespace "paradox" nogil:
    cdef enum class Metric "paradox::Metric":
        l2

    cdef enum class DType "paradox::DType":
        f32
        f16
        i8

    cdef cppclass Matrix:
        const void* data
        int64_t n
        int64_t dim
        int64_t stride_bytes
        DType dtype


cdef extern from "paradox/kernel_table.hpp" namespace "paradox" nogil:
    cdef cppclass KernelTable:
        const char* isa
        int query_limit

    const KernelTable* find_kernels(const char* isa) noexcept
    const KernelTable* available_kernels(int rank) noexcept


cdef extern from "paradox/scan.hpp" namespace "paradox" nogil:
    void scan_distances "paradox::distances"(
        const KernelTable& kernels, const Matrix& query, const Matrix& rows, Metric metric,
        float* out) except +
    void scan_top_k "paradox::top_k"(
        const KernelTable& kernels, const Matrix& queries, const Matrix& rows, Metric metric,
        int64_t k, const uint8_t* allow, int threads, int64_t* positions,
        float* distances) except +
    void scan_refine "paradox::refine"(
        const Matrix& queries, const Matrix& rows, const int64_t* positions, int64_t m,
        Metric metric, double* out) noexcept
    void scan_row_norms "paradox::row_norms"(const Matrix& rows, double* out) noexcept


cdef extern from "paradox/codes.hpp" namespace "paradox" nogil:
    cdef cppclass RowTerms:
        const float* scale
        const float* residual
        const float* norm
        const float* square

    cdef cppclass Codes:
        const void* values
        int64_t n
        int64_t width
        int64_t stride_bytes
        bint is_signed
        RowTerms terms

    void encode_rows "paradox::encode"(
        const Matrix& rows, Metric metric, uint8_t* codes, int64_t width, float* terms,
        int64_t terms_stride) noexcept


cdef extern from "paradox/certified.hpp" namespace "paradox" nogil:
    cdef struct CodedRows "paradox::CodedRows":
        const Matrix* rows
        const Codes* codes
        const int64_t* ids
        const uint8_t* allow

    void scan_certified "paradox::certified_top_k"(
        const KernelTable& kernels, const Matrix& queries, const CodedRows& rows, Metric metric,
        int64_t k, int threads, int64_t* positions, double* distances,
        uint8_t* certified) except +
    void scan_lower_bounds "paradox::lower_bounds"(
        const KernelTable& kernels, const Matrix& queries, const Codes& codes, Metric metric,
        double* out) except +


ctypedef fused Element:
    float
    uint16_t
    int8_t


cdef Matrix borrow(const Element[:, :] view):
    cdef Matrix matrix
    matrix.data = &view[0, 0]
    matrix.n = view.shape[0]
    matrix.dim = view.shape[1]
    matrix.stride_bytes = view.strides[0]
    if Element is float:
        matrix.dtype = DType.f32
    elif Element is uint16_t:
        matrix.dtype = DType.f16
    else:
        matrix.dtype = DType.i8
    return matrix


cdef Matrix matrix_of(array):
    """Borrow an array, which the caller keeps alive."""
    code = array.dtype.char
    if code == "f":
        return borrow[float](array)
    if code == "H":
        return borrow[uint16_t](array)
    return borrow[int8_t](array)


cdef Codes codes_of(codes, const float[:, :] terms):
    """Borrow codes: uint8 of the rows, or the int8 rows themselves."""
    cdef Codes borrowed
    cdef const uint8_t[:, :] values = codes.view("u1")
    borrowed.values = &values[0, 0]
    borrowed.n = values.shape[0]
    borrowed.width = values.shape[1]
    borrowed.stride_bytes = values.strides[0]
    borrowed.is_signed = codes.dtype.char == "b"
    borrowed.terms.scale = &terms[0, 0]
    borrowed.terms.residual = &terms[1, 0]
    borrowed.terms.norm = &terms[2, 0]
    borrowed.terms.square = &terms[3, 0]
    return borrowed


def available():
    """Return the names of the levels this machine has, the best first."""
    cdef const KernelTable* table
    names = []
    while (table := available_kernels(len(names))) is not NULL:
        names.append(table.isa.decode())
    return tuple(names)


cdef class Kernels:
    """The kernels of one level."""

    cdef const KernelTable* table

    def __cinit__(self, str isa):
        self.table = find_kernels(isa.encode())
        if self.table is NULL:
            raise ValueError(f"isa: expected one of {', '.join(available())}; got {isa!r}")

    @property
    def isa(self):
        """Name of the level."""
        return self.table.isa.decode()

    @property
    def query_limit(self):
        """Greatest code of a query."""
        return self.table.query_limit

    def distances(self, query, rows, int metric, float[::1] out):
        """Write the distances of query (1, dim) to rows (n, dim) into out (n,)."""
        cdef Matrix q = matrix_of(query), x = matrix_of(rows)
        cdef float* out_data = &out[0]
        with nogil:
            scan_distances(self.table[0], q, x, <Metric> metric, out_data)

    def top_k(self, queries, rows, int metric, int64_t k, const uint8_t[::1] allow, int threads,
              int64_t[:, ::1] positions, float[:, ::1] distances):
        """Write the k nearest rows of each query into positions and distances (n_queries, k)."""
        cdef Matrix q = matrix_of(queries), x = matrix_of(rows)
        cdef const uint8_t* mask = &allow[0] if allow is not None else NULL
        cdef int64_t* positions_data = &positions[0, 0]
        cdef float* distances_data = &distances[0, 0]
        with nogil:
            scan_top_k(self.table[0], q, x, <Metric> metric, k, mask, threads, positions_data,
                       distances_data)

    def certified_top_k(self, queries, rows, codes, const float[:, :] terms, const int64_t[::1] ids,
                        int metric, int64_t k, const uint8_t[::1] allow, int threads,
                        int64_t[:, ::1] positions, double[:, ::1] distances,
                        uint8_t[::1] certified):
        """Write the k nearest rows of each query, and whether the codes could tell (n_queries,)."""
        cdef Matrix q = matrix_of(queries), x = matrix_of(rows)
        cdef Codes c = codes_of(codes, terms)
        cdef CodedRows coded
        coded.rows, coded.codes, coded.ids = &x, &c, &ids[0]
        coded.allow = &allow[0] if allow is not None else NULL
        cdef int64_t* positions_data = &positions[0, 0]
        cdef double* distances_data = &distances[0, 0]
        cdef uint8_t* certified_data = &certified[0]
        with nogil:
            scan_certified(self.table[0], q, coded, <Metric> metric, k, threads, positions_data,
                           distances_data, certified_data)

    def lower_bounds(self, queries, codes, const float[:, :] terms, int metric,
                     double[:, ::1] out):
        """Write lower bounds of the distances of queries to coded rows into out."""
        cdef Matrix q = matrix_of(queries)
        cdef Codes c = codes_of(codes, terms)
        cdef double* out_data = &out[0, 0]
        with nogil:
            scan_lower_bounds(self.table[0], q, c, <Metric> metric, out_data)


def encode(rows, int metric, codes, float[:, ::1] terms):
    """Write the codes of rows (n, dim), unless they are int8, and their terms (4, n)."""
    cdef Matrix x = matrix_of(rows)
    cdef uint8_t[:, ::1] values
    cdef uint8_t* codes_data = NULL
    cdef int64_t width = x.dim, stride = terms.shape[1]
    if codes is not None:
        values = codes
        codes_data = &values[0, 0]
        width = values.shape[1]
    cdef float* terms_data = &terms[0, 0]
    with nogil:
        encode_rows(x, <Metric> metric, codes_data, width, terms_data, stride)


def refine(queries, rows, int metric, const int64_t[:, ::1] positions, double[:, ::1] out):
    """Write float64 distances of queries (n_queries, dim) to rows[positions] into out."""
    cdef Matrix q = matrix_of(queries), x = matrix_of(rows)
    cdef int64_t m = positions.shape[1]
    cdef const int64_t* positions_data = &positions[0, 0]
    cdef double* out_data = &out[0, 0]
    with nogil:
        scan_refine(q, x, positions_data, m, <Metric> metric, out_data)


def row_norms(rows, double[::1] out):
    """Write the float64 Euclidean norms of rows (n, dim) into out (n,)."""
    cdef Matrix x = matrix_of(rows)
    cdef double* out_data = &out[0]
    with nogil:
        scan_row_norms(x, out_data)
