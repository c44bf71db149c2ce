# distutils: language = c++
# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The native graph; `paradox.index.graph` is its face.

Arguments are trusted. Nodes are numbered from 0 in the order in which their vectors come.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.memory cimport unique_ptr
from libcpp.vector cimport vector


cdef extern from "paradox/graph/graph_kernels.hpp" namespace "paradox" nogil:
    cdef cppclass GraphKernels:
        const char* isa

    const GraphKernels* find_graph_kernels(const char* isa) noexcept


cdef extern from "paradox/graph/graph.hpp" namespace "paradox" nogil:
    cdef cppclass GraphSettings:
        int dim
        cbool inner_product
        int degree
        int build_effort
        uint64_t seed

    cdef cppclass NativeGraph "paradox::Graph":
        NativeGraph(const GraphSettings& settings, const GraphKernels& kernels) except +
        int64_t size() const
        int64_t bytes() const
        int64_t node_bytes() const
        float longest() const
        int64_t n_at_choice() const
        const vector[float]& origin() const
        void add(const float* vectors, int64_t n, int threads) except +
        void remove(const int64_t* nodes, int64_t n) noexcept
        void search(const float* queries, int64_t n, int64_t k, int64_t effort,
                    const uint8_t* allow, int threads, int64_t* out) except +
        void save_nodes(uint8_t* out) noexcept
        cbool restore(const uint8_t* nodes, int64_t n, const float* origin, float longest,
                      int64_t n_at_choice) except +


cdef class Graph:
    """A quantised proximity graph of vectors (n, dim) float32."""

    cdef unique_ptr[NativeGraph] graph
    cdef int dim

    def __cinit__(self, str isa, int dim, bint inner_product, int degree, int build_effort,
                  uint64_t seed):
        cdef GraphSettings settings
        cdef const GraphKernels* kernels = find_graph_kernels(isa.encode())
        if kernels is NULL:
            raise ValueError(f"isa: no graph kernels for {isa!r}")
        settings.dim = self.dim = dim
        settings.inner_product = inner_product
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

    def origin(self):
        """Return what is subtracted from every vector, a list of dim floats; empty before any."""
        return list(self.graph.get().origin())

    def add(self, const float[:, ::1] vectors, int threads):
        """Append nodes for vectors (n, dim)."""
        cdef int64_t n = vectors.shape[0]
        cdef const float* data = &vectors[0, 0] if n else NULL
        with nogil:
            self.graph.get().add(data, n, threads)

    def remove(self, const int64_t[::1] nodes):
        """Take nodes out of all answers."""
        if nodes.shape[0]:
            self.graph.get().remove(&nodes[0], nodes.shape[0])

    def search(self, const float[:, ::1] queries, int64_t k, int64_t effort,
               const uint8_t[::1] allow, int threads, int64_t[:, ::1] out):
        """Write the k nearest nodes of each query into out (n_queries, k), -1 padded.

        allow is (len(self),) of 0 or 1, or None.
        """
        cdef const float* data = &queries[0, 0] if queries.shape[0] else NULL
        cdef const uint8_t* mask = NULL
        cdef int64_t* found = &out[0, 0] if out.shape[0] else NULL
        cdef int64_t n = queries.shape[0]
        if allow is not None and allow.shape[0]:
            mask = &allow[0]
        with nogil:
            self.graph.get().search(data, n, k, effort, mask, threads, found)

    def save_nodes(self, uint8_t[:, ::1] out):
        """Write the nodes into out (len(self), node_bytes)."""
        if out.shape[0]:
            self.graph.get().save_nodes(&out[0, 0])

    def restore(self, const uint8_t[:, ::1] nodes, const float[::1] origin, float longest,
                int64_t n_at_choice):
        """Make this empty graph what was saved; return whether that could be a graph."""
        cdef int64_t n = nodes.shape[0]
        if not n:
            return True
        return self.graph.get().restore(&nodes[0, 0], n, &origin[0], longest, n_at_choice)
