# distutils: language = c++
# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The native inverted lists; `paradox.index.ivf` is its face.

Arguments are trusted. Rows are known by numbers that the caller gives, below 2^32 - 1.
"""

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.memory cimport unique_ptr
from libcpp.vector cimport vector
cimport numpy as cnp

cnp.import_array()


cdef extern from "paradox/matrix.hpp" namespace "paradox" nogil:
    cdef enum class Metric "paradox::Metric":
        l2

    cdef enum class DType "paradox::DType":
        f32
        f16


cdef extern from "paradox/graph/graph_kernels.hpp" namespace "paradox" nogil:
    cdef cppclass GraphKernels:
        const char* isa

    const GraphKernels* find_graph_kernels(const char* isa) noexcept


cdef extern from "paradox/ivf/ivf_kernels.hpp" namespace "paradox" nogil:
    cdef struct ResidualSums:
        float absolute
        float squares
        float centre_by_sign
        float greatest

    cdef struct PointNorm:
        float scale
        float square

    cdef struct PointNorms:
        const float* scales
        const float* squares
        int64_t n

    cdef cppclass IvfKernels:
        const char* isa
        void dots_1xn(const int16_t* row, const int16_t* others, int64_t n, int dim,
                      int32_t* out) noexcept
        int64_t distances(const PointNorm& row, const PointNorms& others, const int32_t* dots,
                          float* out) noexcept
        void add_scaled(const int16_t* row, double scale, int dim, double* sums) noexcept
        ResidualSums residual(const float* vector, const int16_t* centre, float scale, int dim,
                              float* out, uint8_t* signs) noexcept
        void to_int8(const float* values, int dim, float scale, int8_t* out) noexcept

    const IvfKernels* find_ivf_kernels(const char* isa) noexcept


cdef extern from "paradox/ivf/saved_lists.hpp" namespace "paradox" nogil:
    cdef cppclass Section[T]:
        const T* values
        int64_t n

    cdef cppclass SavedLists:
        Section[int16_t] centres
        Section[float] scales
        Section[uint32_t] cells
        Section[int16_t] cell_centres
        Section[float] cell_scales
        Section[int64_t] sizes
        Section[float] units
        Section[uint8_t] blocks
        Section[uint8_t] supplements
        Section[float] origin
        float longest
        float farthest
        int64_t split_size


cdef extern from "paradox/ivf/ivf.hpp" namespace "paradox" nogil:
    cdef cppclass IvfSettings:
        int dim
        Metric metric
        uint64_t seed

    cdef cppclass IvfRows:
        const void* vectors
        const int64_t* ids
        DType dtype
        const uint8_t* allowed
        int64_t n_allowed

    cdef cppclass Coarse:
        int64_t n_cells() const
        void save(int16_t* centres, float* scales, uint32_t* cells, int16_t* cell_centres,
                  float* cell_scales) except +

    cdef cppclass NativeIvf "paradox::Ivf":
        int64_t size() const
        int64_t n_removed() const
        int64_t n_lists() const
        int64_t bytes() const
        int row_bytes() const
        int64_t n_blocks() const
        int64_t n_places() const
        int64_t block_bytes() const
        int64_t split_size() const
        float longest() const
        float farthest() const
        const vector[float]& origin() const
        Coarse& coarse()
        void train(const float* sample, int64_t n_sample, int64_t n, int64_t n_lists,
                   int threads) except +
        void add(const float* vectors, const int64_t* numbers, int64_t n, int threads,
                 uint32_t* lists, uint8_t* supplements) except +
        void remove(const int64_t* numbers, int64_t n) except +
        cbool holds(int64_t number) noexcept
        void merge(int64_t n_wanted, int threads) except +
        cbool search(const float* queries, int64_t n, int64_t k, int64_t effort,
                     const IvfRows& rows, int threads, int64_t* ids, float* distances) except +
        void save(int64_t* sizes, float* units, uint8_t* blocks, uint8_t* supplements) noexcept
        cbool restore(const SavedLists& saved, const int64_t* ids, int64_t n_rows) except +


cdef extern from *:
    """
    namespace paradox {
    static Ivf* make_ivf(const IvfSettings& settings, const GraphKernels* shared,
                         const IvfKernels* own) {
      return new Ivf(settings, IvfLevel{*shared, *own});
    }
    }
    """
    NativeIvf* make_ivf "paradox::make_ivf"(const IvfSettings& settings,
                                            const GraphKernels* shared,
                                            const IvfKernels* own) except +


cdef class Ivf:
    """Inverted lists of vectors (n, dim) float32."""

    cdef int dim
    cdef unique_ptr[NativeIvf] ivf
    cdef IvfRows rows
    cdef object kept_rows
    cdef object kept_lists
    cdef readonly str isa

    def __cinit__(self, str isa, int dim, int metric, uint64_t seed):
        cdef IvfSettings settings
        cdef const GraphKernels* shared = find_graph_kernels(isa.encode())
        cdef const IvfKernels* own = find_ivf_kernels(isa.encode())
        if shared is NULL or own is NULL:
            raise ValueError(f"isa: no kernels of inverted lists for {isa!r}")
        settings.dim = self.dim = dim
        settings.metric = <Metric> metric
        settings.seed = seed
        self.isa = own.isa.decode()
        self.ivf.reset(make_ivf(settings, shared, own))

    def __len__(self):
        return self.ivf.get().size()

    @property
    def n_removed(self):
        """Number of removed rows that still take a place."""
        return self.ivf.get().n_removed()

    @property
    def n_lists(self):
        """Number of lists; 0 before training."""
        return self.ivf.get().n_lists()

    @property
    def nbytes(self):
        """Memory held, without what `restore` was given."""
        return self.ivf.get().bytes()

    @property
    def row_bytes(self):
        """Bytes of a row's supplement."""
        return self.ivf.get().row_bytes()

    def shape(self):
        """Return what a restored index needs beside arrays, and what their sizes are."""
        cdef NativeIvf* ivf = self.ivf.get()
        return {
            "longest": ivf.longest(),
            "farthest": ivf.farthest(),
            "split_size": ivf.split_size(),
        }

    def origin(self):
        """Return what is subtracted from every vector, a list of dim floats."""
        return list(self.ivf.get().origin())

    def sizes(self):
        """Return the numbers of lists, cells, blocks and places, and the bytes of a block."""
        cdef NativeIvf* ivf = self.ivf.get()
        return (ivf.n_lists(), ivf.coarse().n_cells(), ivf.n_blocks(), ivf.n_places(),
                ivf.block_bytes())

    def train(self, const float[:, ::1] sample, int64_t n, int64_t n_lists, int threads):
        """Learn up to n_lists lists for n rows from a sample (n_sample, dim) of 1 or more."""
        cdef int64_t n_sample = sample.shape[0]
        with nogil:
            self.ivf.get().train(&sample[0, 0], n_sample, n, n_lists, threads)

    def add(self, const float[:, ::1] vectors, const int64_t[::1] numbers, int threads):
        """Add vectors (n, dim) under numbers (n,), in place of those that have these.

        Where memory does not suffice, some may be there: `holds` tells which numbers are in use.
        """
        cdef int64_t n = vectors.shape[0]
        if n:
            with nogil:
                self.ivf.get().add(&vectors[0, 0], &numbers[0], n, threads, NULL, NULL)

    def add_apart(self, const float[:, ::1] vectors, const int64_t[::1] numbers, int threads,
                  uint32_t[::1] lists, uint8_t[:, ::1] supplements):
        """Add vectors as `add` does, but write their lists (n,) and supplements (n, row_bytes).

        Nothing may be searched before the supplements come back by `restore`.
        """
        cdef int64_t n = vectors.shape[0]
        if n:
            with nogil:
                self.ivf.get().add(&vectors[0, 0], &numbers[0], n, threads, &lists[0],
                                   &supplements[0, 0])

    def remove(self, const int64_t[::1] numbers):
        """Remove rows by number; numbers that are not in use are passed over."""
        cdef int64_t n = numbers.shape[0]
        if n:
            with nogil:
                self.ivf.get().remove(&numbers[0], n)

    def holds(self, const int64_t[::1] numbers):
        """Tell (n,) which numbers, 0 or more, are in use."""
        cdef int64_t n = numbers.shape[0], i
        cdef cnp.npy_intp[1] shape = [n]
        cdef cnp.ndarray held = cnp.PyArray_EMPTY(1, shape, cnp.NPY_BOOL, 0)
        cdef uint8_t* out = <uint8_t*> cnp.PyArray_DATA(held)
        for i in range(n):
            out[i] = self.ivf.get().holds(numbers[i])
        return held

    def merge(self, int64_t n_wanted, int threads):
        """Dissolve lists that removals have left short: their rows go to the nearest others.

        n_wanted is how many lists, 1 or more, would be learnt for the rows there are.
        """
        with nogil:
            self.ivf.get().merge(n_wanted, threads)

    def use_rows(self, matrix, const int64_t[::1] ids):
        """Say where `search` finds vectors (n, dim) and ids (n,) by number.

        matrix is float32 or float16, or None where no vectors are kept: distances are then those of
        the supplements. The arrays are kept, and read as they are at the time of a search.
        """
        cdef const uint8_t[:, ::1] vectors
        self.kept_rows = (matrix, ids)
        self.rows.vectors = NULL
        self.rows.ids = NULL
        if ids.shape[0]:
            self.rows.ids = &ids[0]
            if matrix is not None:
                self.rows.dtype = DType.f32 if matrix.dtype.itemsize == 4 else DType.f16
                vectors = matrix.view("u1")
                self.rows.vectors = &vectors[0, 0]

    def search(self, const float[:, ::1] queries, int64_t k, int64_t effort,
               const uint8_t[::1] allowed, int64_t n_allowed, int threads):
        """Return ids and distances (n_queries, k) of the k nearest rows; -1 and +inf padded.

        allowed (n_rows,) says of each row whether it may be found, None that all may; n_allowed
        may. The third of what is returned tells whether fewer were found than could be, for any of
        the queries.
        """
        cdef int64_t n = queries.shape[0]
        cdef cnp.npy_intp[2] shape = [n, k]
        cdef cnp.ndarray ids = cnp.PyArray_EMPTY(2, shape, cnp.NPY_INT64, 0)
        cdef cnp.ndarray distances = cnp.PyArray_EMPTY(2, shape, cnp.NPY_FLOAT32, 0)
        cdef cbool has_gaps
        if not n:
            return ids, distances, False
        if queries.shape[1] != self.dim:
            raise ValueError(f"expected {self.dim} dimensions; got {queries.shape[1]}")
        cdef IvfRows rows = self.rows
        if allowed is not None:
            rows.allowed = &allowed[0]
        rows.n_allowed = n_allowed
        cdef int64_t* found = <int64_t*> cnp.PyArray_DATA(ids)
        cdef float* measured = <float*> cnp.PyArray_DATA(distances)
        with nogil:
            has_gaps = self.ivf.get().search(&queries[0, 0], n, k, effort, rows, threads, found,
                                             measured)
        return ids, distances, has_gaps

    def save_centres(self, int16_t[:, ::1] centres, float[::1] scales, uint32_t[::1] cells,
                     int16_t[:, ::1] cell_centres, float[::1] cell_scales):
        """Write centres (n_lists, dim), scales and cells (n_lists,), and the same of the cells."""
        with nogil:
            self.ivf.get().coarse().save(&centres[0, 0], &scales[0], &cells[0],
                                         &cell_centres[0, 0], &cell_scales[0])

    def save_lists(self, int64_t[::1] sizes, float[::1] units, uint8_t[:, ::1] blocks,
                   uint8_t[:, ::1] supplements):
        """Write sizes and units (n_lists,), blocks (n_blocks, block_bytes), and supplements.

        These are (n, row_bytes); None leaves them out.
        """
        cdef uint8_t* rows = NULL
        if supplements is not None and supplements.shape[0]:
            rows = &supplements[0, 0]
        if not blocks.shape[0]:
            return
        with nogil:
            self.ivf.get().save(&sizes[0], &units[0], &blocks[0, 0], rows)

    def restore(self, dict saved, const int64_t[::1] ids):
        """Make these empty lists what was saved; return whether that could be lists.

        saved has the arrays, flat, that `save_centres` and `save_lists` wrote, the origin, and what
        `shape` returned; ids (n_rows,) are those of the rows by number, -1 where there is none.
        Blocks and supplements are kept, and read where they are.
        """
        cdef const int16_t[::1] centres = saved["centres"]
        cdef const float[::1] scales = saved["scales"]
        cdef const uint32_t[::1] cells = saved["cells"]
        cdef const int16_t[::1] cell_centres = saved["cell_centres"]
        cdef const float[::1] cell_scales = saved["cell_scales"]
        cdef const int64_t[::1] sizes = saved["sizes"]
        cdef const float[::1] units = saved["units"]
        cdef const uint8_t[::1] blocks = saved["blocks"]
        cdef const uint8_t[::1] supplements = saved["supplements"]
        cdef const float[::1] origin = saved["origin"]
        cdef SavedLists lists
        lists.centres.values, lists.centres.n = &centres[0], centres.shape[0]
        lists.scales.values, lists.scales.n = &scales[0], scales.shape[0]
        lists.cells.values, lists.cells.n = &cells[0], cells.shape[0]
        lists.cell_centres.values, lists.cell_centres.n = &cell_centres[0], cell_centres.shape[0]
        lists.cell_scales.values, lists.cell_scales.n = &cell_scales[0], cell_scales.shape[0]
        lists.sizes.values, lists.sizes.n = &sizes[0], sizes.shape[0]
        lists.units.values, lists.units.n = &units[0], units.shape[0]
        lists.blocks.values, lists.blocks.n = &blocks[0], blocks.shape[0]
        lists.supplements.values, lists.supplements.n = &supplements[0], supplements.shape[0]
        lists.origin.values, lists.origin.n = &origin[0], origin.shape[0]
        lists.longest = saved["longest"]
        lists.farthest = saved["farthest"]
        lists.split_size = saved["split_size"]
        self.kept_lists = (blocks, supplements)
        cdef cbool are_lists
        with nogil:
            are_lists = self.ivf.get().restore(lists, &ids[0], ids.shape[0])
        return are_lists


cdef class Kernels:
    """The kernels of one level, for tests; dim is a multiple of 32."""

    cdef const IvfKernels* table

    def __cinit__(self, str isa):
        self.table = find_ivf_kernels(isa.encode())
        if self.table is NULL:
            raise ValueError(f"isa: no kernels of inverted lists for {isa!r}")

    def dots_1xn(self, const int16_t[::1] row, const int16_t[:, ::1] others, int32_t[::1] out):
        """Write the dot products of a row (dim,) with others (n, dim)."""
        self.table.dots_1xn(&row[0], &others[0, 0], others.shape[0], row.shape[0], &out[0])

    def distances(self, float scale, float square, const float[::1] scales,
                  const float[::1] squares, const int32_t[::1] dots, float[::1] out):
        """Write squared distances (n,) from dot products; return the place of the least."""
        cdef PointNorm row
        cdef PointNorms others
        row.scale, row.square = scale, square
        others.scales, others.squares, others.n = &scales[0], &squares[0], scales.shape[0]
        return self.table.distances(row, others, &dots[0], &out[0])

    def add_scaled(self, const int16_t[::1] row, double scale, double[::1] sums):
        """Add scale times a row (dim,) to sums (dim,)."""
        self.table.add_scaled(&row[0], scale, row.shape[0], &sums[0])

    def residual(self, const float[::1] values, const int16_t[::1] centre, float scale,
                 float[::1] out, uint8_t[::1] signs):
        """Write values less scale * centre, and signs (dim / 8,); return the four sums."""
        cdef ResidualSums sums = self.table.residual(&values[0], &centre[0], scale,
                                                     values.shape[0], &out[0], &signs[0])
        return sums.absolute, sums.squares, sums.centre_by_sign, sums.greatest

    def to_int8(self, const float[::1] values, float scale, int8_t[::1] out):
        """Write values times scale, rounded."""
        self.table.to_int8(&values[0], values.shape[0], scale, &out[0])
