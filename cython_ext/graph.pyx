# distutils: language = c++
# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The native graph; `paradox.index.graph` is its face.

Arguments are trusted. Nodes are numbered from 0 in the order in which their vectors come. One
thread may change a graph; views of it are searched meanwhile.
"""

from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_ND, PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer,
)
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
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


cdef extern from "paradox/graph/graph.hpp" namespace "paradox" nogil:
    cdef cppclass GraphSettings:
        int dim
        Metric metric
        int degree
        int build_effort
        uint64_t seed
        cbool sketch
        cbool is_compact

    cdef cppclass GraphState:
        vector[float] origin
        vector[uint32_t] entries
        float longest
        float dimension
        int64_t n_at_origin
        int64_t n_at_choice
        int64_t n_at_join
        int64_t n_bypassed

    cdef cppclass GraphRows:
        const void* vectors
        DType dtype
        const double* norms
        const int64_t* ids
        const int32_t* slots
        const uint8_t* allowed
        int64_t n_allowed

    cdef cppclass GraphMoment:
        pass

    cdef cppclass NativeGraph "paradox::Graph":
        NativeGraph(const GraphSettings& settings, const GraphKernels& kernels) except +
        NativeGraph(const NativeGraph& other) except +
        int64_t size() const
        int64_t n_connected() const
        int64_t bytes() const
        int64_t node_bytes() const
        const GraphState& state() const
        cbool is_outgrown() const
        void add(const float* vectors, int64_t n, int threads) except +
        cbool is_bulk(int64_t n) const
        void remove(const int64_t* nodes, int64_t n, uint32_t seq) except +
        cbool bypass(uint32_t seq, int threads) except +
        GraphMoment moment(uint32_t seq) const
        cbool search(const float* queries, int64_t n, int64_t k, int64_t effort,
                     const GraphRows& rows, const GraphMoment& moment, int threads, int64_t* ids,
                     float* distances) except +
        void begin_as(const NativeGraph& other) except +
        void decode(const int64_t* nodes, int64_t n, float* out, int threads) except +
        void save_nodes(uint8_t* out) noexcept
        cbool restore(const uint8_t* nodes, int64_t n, const GraphState& state,
                      int threads) except +


cdef const float* start_of(object array, int64_t n) except NULL:
    """Where a contiguous array of n float32 begins.

    It takes a third of the time of a typed memoryview.
    """
    cdef Py_buffer buffer
    PyObject_GetBuffer(array, &buffer, PyBUF_SIMPLE | PyBUF_FORMAT | PyBUF_ND)
    cdef const float* start = <const float*> buffer.buf
    cdef bytes type = buffer.format
    cdef int64_t n_given = buffer.len // buffer.itemsize
    PyBuffer_Release(&buffer)
    if type != b"f" or n_given != n:
        raise ValueError(f"expected {n} values of type b'f'; got {n_given} of {type!r}")
    return start


cdef class Graph:
    """A quantised proximity graph of vectors (n, dim) float32."""

    cdef unique_ptr[NativeGraph] graph
    cdef int dim
    cdef tuple made_of
    cdef readonly str isa

    def __cinit__(self, str isa, int dim, int metric, int degree, int build_effort, uint64_t seed,
                  cbool sketch, cbool compact):
        cdef GraphSettings settings
        cdef const GraphKernels* kernels = find_graph_kernels(isa.encode())
        if kernels is NULL:
            raise ValueError(f"isa: no graph kernels for {isa!r}")
        settings.dim = self.dim = dim
        settings.metric = <Metric> metric
        settings.degree = degree
        settings.build_effort = build_effort
        settings.seed = seed
        settings.sketch = sketch
        settings.is_compact = compact
        self.made_of = (isa, dim, metric, degree, build_effort, seed, sketch, compact)
        self.isa = kernels.isa.decode()
        self.graph.reset(new NativeGraph(settings, kernels[0]))

    def __len__(self):
        return self.graph.get().size()

    @property
    def n_connected(self):
        """Number of nodes that have their edges: all, unless an `add` has failed."""
        return self.graph.get().n_connected()

    @property
    def nbytes(self):
        """Memory of the nodes, and of their sketch."""
        return self.graph.get().bytes()

    @property
    def node_bytes(self):
        """Memory of one node."""
        return self.graph.get().node_bytes()

    @property
    def is_outgrown(self):
        """Whether a graph made anew from all vectors would find more."""
        return self.graph.get().is_outgrown()

    def state(self):
        """Return what a graph is beside its nodes: numbers, origin (dim,) and entries as lists."""
        cdef const GraphState* state = &self.graph.get().state()
        return {
            "origin": list(state.origin),
            "entries": list(state.entries),
            "longest": state.longest,
            "dimension": state.dimension,
            "n_at_origin": state.n_at_origin,
            "n_at_choice": state.n_at_choice,
            "n_at_join": state.n_at_join,
            "n_bypassed": state.n_bypassed,
        }

    def add(self, const float[:, ::1] vectors, int threads):
        """Append nodes for vectors (n, dim)."""
        cdef int64_t n = vectors.shape[0]
        cdef const float* data = &vectors[0, 0] if n else NULL
        with nogil:
            self.graph.get().add(data, n, threads)

    def is_bulk(self, int64_t n):
        """Whether an `add` of n vectors gives all nodes other edges: searches find less then."""
        return self.graph.get().is_bulk(n)

    def copy(self):
        """Return a graph of the same nodes."""
        cdef Graph copy = Graph.__new__(Graph, *self.made_of)
        with nogil:
            copy.graph.reset(new NativeGraph(self.graph.get()[0]))
        return copy

    def remove(self, const int64_t[::1] nodes, uint32_t seq):
        """Take nodes out of the answers of views from write seq on, 1 or more."""
        cdef int64_t n = nodes.shape[0]
        if not n:
            return
        cdef const int64_t* data = &nodes[0]
        with nogil:
            self.graph.get().remove(data, n, seq)

    def bypass(self, uint32_t seq, int threads):
        """Lead searches around nodes removed up to write seq, if many; return whether it did.

        Nobody may search a view of before any more.
        """
        cdef cbool has_changed
        with nogil:
            has_changed = self.graph.get().bypass(seq, threads)
        return has_changed

    def use_rows(self, matrix, const double[::1] norms, const int64_t[::1] ids,
                 const int32_t[::1] slots, uint32_t seq):
        """Return a view of the nodes there are, less those removed up to write seq.

        A node's vector is in row slots[node] of matrix (n_rows, dim), float32 or float16, its id in
        ids (n_rows,); slots may be None where they are the nodes' numbers. Where no vectors are
        kept, matrix and norms are None, and distances those of the nodes' own vectors. The arrays
        are kept; of these rows none may change as long as there is the view.
        """
        cdef GraphView view = GraphView.__new__(GraphView)
        cdef const uint8_t[:, ::1] vectors
        view.graph = self
        view.moment = self.graph.get().moment(seq)
        view.kept = (matrix, norms, ids, slots)
        view.rows.vectors = NULL
        if matrix is not None:
            vectors = matrix.view("u1")
            view.rows.vectors = &vectors[0, 0]
            view.rows.dtype = DType.f32 if matrix.dtype.itemsize == 4 else DType.f16
            view.rows.norms = &norms[0]
        view.rows.ids = &ids[0]
        view.rows.slots = NULL
        if slots is not None:
            view.rows.slots = &slots[0]
        return view

    def begin_as(self, Graph other):
        """Make this empty graph keep vectors as another does: the same origin, the same lengths."""
        self.graph.get().begin_as(other.graph.get()[0])

    def decode(self, const int64_t[::1] nodes, float[:, ::1] out, int threads):
        """Write the vectors of nodes as they are kept into out (n, dim): directions under cosine.
        """
        cdef int64_t n = nodes.shape[0]
        if not n:
            return
        with nogil:
            self.graph.get().decode(&nodes[0], n, &out[0, 0], threads)

    def save_nodes(self, uint8_t[:, ::1] out):
        """Write the nodes into out (len(self), node_bytes)."""
        if not out.shape[0]:
            return
        with nogil:
            self.graph.get().save_nodes(&out[0, 0])

    def restore(self, const uint8_t[:, ::1] nodes, dict state, int threads):
        """Make this empty graph what was saved; return whether that could be a graph."""
        cdef int64_t n = nodes.shape[0]
        cdef GraphState kept
        if not n:
            return True
        kept.origin = state["origin"]
        kept.entries = state["entries"]
        kept.longest = state["longest"]
        kept.dimension = state["dimension"]
        kept.n_at_origin = state["n_at_origin"]
        kept.n_at_choice = state["n_at_choice"]
        kept.n_at_join = state["n_at_join"]
        kept.n_bypassed = state["n_bypassed"]
        cdef cbool is_graph
        with nogil:
            is_graph = self.graph.get().restore(&nodes[0, 0], n, kept, threads)
        return is_graph


cdef class GraphView:
    """What searches see of a graph at one moment, whatever comes later."""

    cdef Graph graph
    cdef GraphMoment moment
    cdef GraphRows rows
    cdef object kept

    def search(self, object queries, int64_t k, int64_t effort,
               const uint8_t[::1] allowed, int64_t n_allowed, int threads):
        """Return ids and distances (n, k) of the k nearest rows; -1 and +inf padded.

        queries is (n, dim) float32, contiguous. allowed (n_rows,) says of each row whether it may
        be found, None that all may; n_allowed may. Effort `EVERY_NODE` looks at all nodes. The
        third of what is returned tells whether fewer were found than could be, for any of the
        queries.
        """
        cdef int64_t n = len(queries)
        cdef cnp.npy_intp[2] shape = [n, k]
        cdef cnp.ndarray ids = cnp.PyArray_EMPTY(2, shape, cnp.NPY_INT64, 0)
        cdef cnp.ndarray distances = cnp.PyArray_EMPTY(2, shape, cnp.NPY_FLOAT32, 0)
        cdef cbool has_gaps
        if not n:
            return ids, distances, False
        cdef GraphRows rows = self.rows
        rows.allowed = NULL
        if allowed is not None:
            rows.allowed = &allowed[0]
        rows.n_allowed = n_allowed
        cdef const float* data = start_of(queries, n * self.graph.dim)
        cdef int64_t* found = <int64_t*> cnp.PyArray_DATA(ids)
        cdef float* measured = <float*> cnp.PyArray_DATA(distances)
        cdef NativeGraph* graph = self.graph.graph.get()
        with nogil:
            has_gaps = graph.search(data, n, k, effort, rows, self.moment, threads, found, measured)
        return ids, distances, has_gaps
