# distutils: language = c++
# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The native graph; `paradox.index.graph` is its face.

Arguments are trusted. Nodes are numbered from 0 in the order in which their vectors come.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.memory cimport unique_ptr
from libcpp.vector cimport vector


cdef extern from "paradox/matrix.hpp" namespace "paradox" nogil:
    cdef enum class Metric "paradox::Metric":
        l2

    cdef enum class DType "paradox::DType":
        f32

    cdef cppclass Matrix:
        const void* data
        int64_t n
        int64_t dim
        int64_t stride_bytes
        DType dtype


cdef extern from "paradox/graph/graph_kernels.hpp" namespace "paradox" nogil:
    cdef cppclass GraphKernels:
        const char* isa

    const GraphKernels* find_graph_kernels(const char* isa) noexcept


cdef extern from "paradox/graph/graph.hpp" namespace "paradox" nogil:
    cdef cppclass GraphSettings:
        int dim
        Metric metric
        int degree
        int build_effort
        uint64_t seed

    cdef cppclass GraphRows:
        Matrix vectors
        const int64_t* slots
        const int64_t* ids

    cdef cppclass NativeGraph "paradox::Graph":
        NativeGraph(const GraphSettings& settings, const GraphKernels& kernels) except +
        int64_t size() const
        int64_t bytes() const
        int64_t node_bytes() const
        float longest() const
        int64_t n_at_choice() const
        int64_t n_bypassed() const
        const vector[float]& origin() const
        void add(const float* vectors, int64_t n, int threads) except +
        void remove(const int64_t* nodes, int64_t n, int threads) except +
        void search(const float* queries, int64_t n, int64_t k, int64_t effort, int threads,
                    int64_t* out) except +
        void search_rows(const float* queries, int64_t n, int64_t k, int64_t effort,
                         const GraphRows& rows, int threads, int64_t* ids,
                         float* distances) except +
        void save_nodes(uint8_t* out) noexcept
        cbool restore(const uint8_t* nodes, int64_t n, const float* origin, float longest,
                      int64_t n_at_choice, int64_t n_bypassed) except +


cdef class Graph:
    """A quantised proximity graph of vectors (n, dim) float32."""

    cdef unique_ptr[NativeGraph] graph
    cdef int dim

    def __cinit__(self, str isa, int dim, int metric, int degree, int build_effort, uint64_t seed):
        cdef GraphSettings settings
        cdef const GraphKernels* kernels = find_graph_kernels(isa.encode())
        if kernels is NULL:
            raise ValueError(f"isa: no graph kernels for {isa!r}")
        settings.dim = self.dim = dim
        settings.metric = <Metric> metric
        settings.degree = degree
        settings.build_effort = build_effort
        settings.seed = seed
        self.graph.reset(new NativeGraph(settings, kernels[0]))

    def __len__(self):
        return self.graph.get().size()

    @property
    def nbytes(self):
        """Memory of the nodes."""
        return self.graph.get().bytes()

    @property
    def node_bytes(self):
        """Memory of one node."""
        return self.graph.get().node_bytes()

    @property
    def longest(self):
        """Norm that vectors are lengthened to under inner product."""
        return self.graph.get().longest()

    @property
    def n_at_choice(self):
        """Number of nodes among which those where searches begin were chosen."""
        return self.graph.get().n_at_choice()

    @property
    def n_bypassed(self):
        """Number of removed nodes that no search meets any more."""
        return self.graph.get().n_bypassed()

    def origin(self):
        """Return what is subtracted from every vector, a list of dim floats; empty before any."""
        return list(self.graph.get().origin())

    def add(self, const float[:, ::1] vectors, int threads):
        """Append nodes for vectors (n, dim)."""
        cdef int64_t n = vectors.shape[0]
        cdef const float* data = &vectors[0, 0] if n else NULL
        with nogil:
            self.graph.get().add(data, n, threads)

    def remove(self, const int64_t[::1] nodes, int threads):
        """Take nodes out of all answers."""
        cdef int64_t n = nodes.shape[0]
        if not n:
            return
        cdef const int64_t* data = &nodes[0]
        with nogil:
            self.graph.get().remove(data, n, threads)

    def search(self, const float[:, ::1] queries, int64_t k, int64_t effort, int threads,
               int64_t[:, ::1] out):
        """Write the k nearest nodes of each query into out (n_queries, k), -1 padded."""
        cdef int64_t n = queries.shape[0]
        if not n:
            return
        cdef const float* data = &queries[0, 0]
        cdef int64_t* found = &out[0, 0]
        with nogil:
            self.graph.get().search(data, n, k, effort, threads, found)

    def search_rows(self, const float[:, ::1] queries, int64_t k, int64_t effort,
                    const float[:, ::1] rows, const int64_t[::1] slots, const int64_t[::1] ids,
                    int threads, int64_t[:, ::1] out_ids, float[:, ::1] out_distances):
        """Write ids and distances (n_queries, k) of the k nearest rows; -1 and +inf padded.

        A node's vector is in row slots[node], whose id is in ids; there is one node at least.
        """
        cdef int64_t n = queries.shape[0]
        if not n:
            return
        cdef GraphRows given
        given.vectors.data = &rows[0, 0]
        given.vectors.n = rows.shape[0]
        given.vectors.dim = rows.shape[1]
        given.vectors.stride_bytes = rows.strides[0]
        given.vectors.dtype = DType.f32
        given.slots = &slots[0]
        given.ids = &ids[0]
        cdef const float* data = &queries[0, 0]
        cdef int64_t* found = &out_ids[0, 0]
        cdef float* distances = &out_distances[0, 0]
        with nogil:
            self.graph.get().search_rows(data, n, k, effort, given, threads, found, distances)

    def save_nodes(self, uint8_t[:, ::1] out):
        """Write the nodes into out (len(self), node_bytes)."""
        if out.shape[0]:
            self.graph.get().save_nodes(&out[0, 0])

    def restore(self, const uint8_t[:, ::1] nodes, const float[::1] origin, float longest,
                int64_t n_at_choice, int64_t n_bypassed):
        """Make this empty graph what was saved; return whether that could be a graph."""
        cdef int64_t n = nodes.shape[0]
        if not n:
            return True
        return self.graph.get().restore(&nodes[0, 0], n, &origin[0], longest, n_at_choice,
                                        n_bypassed)
