// A stream as a hand-written Python type: a call of its step costs some 20 ns, a bound pybind11 method a hundred.
#include <pybind11/stl.h>

#include "stream_type.hpp"

namespace rnnfast {

namespace {

struct StreamObject {
  PyObject_HEAD BoundStream* stream;  // null until __init__
};

// Calls f; exceptions become Python's.
template <class F>
PyObject* guarded(const F& f) noexcept {
  try {
    return f();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const py::builtin_exception& error) {
    error.set_error();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::overflow_error& error) {
    PyErr_SetString(PyExc_OverflowError, error.what());
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

template <class F>
PyObject* with_stream(PyObject* self, const F& f) noexcept {
  return guarded([&] {
    BoundStream* stream = reinterpret_cast<StreamObject*>(self)->stream;
    if (stream == nullptr) throw std::runtime_error("stream: __init__ must be called first");
    return f(*stream);
  });
}

// step(x, /, *, out=None)
PyObject* step(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  return with_stream(self, [&](BoundStream& bound) {
    const Py_ssize_t named = names != nullptr ? PyTuple_GET_SIZE(names) : 0;
    if (count != 1 || named > 1) throw py::type_error("step: x and, by name, out are required");
    PyObject* name = named == 1 ? PyTuple_GET_ITEM(names, 0) : nullptr;
    if (name != nullptr && name != bound.out_name.ptr() && PyUnicode_CompareWithASCIIString(name, "out") != 0)
      throw py::type_error("step: x and, by name, out are required, got another name");
    PyObject* out = named == 1 && args[1] != Py_None ? args[1] : nullptr;
    return bound.visit([&](auto& stream) { return step_typed(bound, stream, args[0], out); });
  });
}

template <class Real>
py::object process_typed(TypedStream<Real>& stream, const py::array& x, bool time_major) {
  const Index N = stream.core.batch();
  const Index C = stream.core.inputs();
  const Index T = x.ndim() == 3 ? x.shape(1) : 0;
  const View<const Real> view = sequence_view<Real>("block", x, "(N, T, C)", {N, T, C});
  py::array y = new_sequences<Real>(N, T, stream.core.width(), time_major);
  bool finished = false;
  {
    const GilRelease nogil;
    Interrupt interrupt([&nogil] { return nogil.signals(); });
    finished = stream.core.process(view, view_of<Real>(y), T, interrupt);
  }
  if (!finished) throw py::error_already_set();
  return std::move(y);
}

// _process(x, time_major)
PyObject* process(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  return with_stream(self, [&](BoundStream& bound) {
    if (count != 2) throw py::type_error("_process: x and time_major are required");
    const Use use(bound);
    const auto x = py::handle(args[0]).cast<py::array>();
    const bool time_major = py::handle(args[1]).cast<bool>();
    return bound.visit([&](auto& stream) { return process_typed(stream, x, time_major); }).release().ptr();
  });
}

template <class Real>
Shape state_shape(TypedStream<Real>& stream, Index width) {
  return {stream.core.layers(), stream.core.batch(), width};
}

// _read_state() -> copies of h and c, or None
PyObject* read_state(PyObject* self, PyObject*) {
  return with_stream(self, [](BoundStream& bound) {
    const Use use(bound);
    const auto copies = bound.visit([](auto& stream) {
      const auto copy = [&](const auto* from, Index width) {
        using Real = std::decay_t<decltype(*from)>;
        return from != nullptr ? py::object(py::array_t<Real>(state_shape(stream, width), from)) : py::none();
      };
      return py::make_tuple(copy(stream.core.h(), stream.core.outputs()), copy(stream.core.c(), stream.core.units()));
    });
    return py::object(copies).release().ptr();
  });
}

// Replaces the states of the sequences where `chosen` [N] is nonzero, of all where it is null.
template <class Real>
void write_state_typed(TypedStream<Real>& stream, const py::object& h, const py::object& c, const bool* chosen) {
  const Shape h_shape = state_shape(stream, stream.core.outputs());
  const Shape c_shape = state_shape(stream, stream.core.units());
  const Real* from_h = optional_contiguous<Real>("h", h, "(L, N, P)", h_shape);
  const Real* from_c = optional_contiguous<Real>("c", c, "(L, N, H)", c_shape);
  const auto write = [&](const Real* from, Real* to, const Shape& shape) {
    const Index N = shape[1];
    const Index width = shape[2];
    for (Index row = 0; to != nullptr && row < shape[0] * N; ++row) {
      if (chosen != nullptr && !chosen[row % N]) continue;
      if (from != nullptr)
        std::copy_n(from + row * width, width, to + row * width);
      else
        std::fill_n(to + row * width, width, Real(0));
    }
  };
  write(from_h, stream.core.h(), h_shape);
  write(from_c, stream.core.c(), c_shape);
}

// _write_state(h, c, mask): arrays, or None for zeros; bool (N,), or None for all sequences
PyObject* write_state(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  return with_stream(self, [&](BoundStream& bound) {
    if (count != 3) throw py::type_error("_write_state: h, c and mask are required");
    const Use use(bound);
    const auto h = py::reinterpret_borrow<py::object>(args[0]);
    const auto c = py::reinterpret_borrow<py::object>(args[1]);
    const auto mask = py::reinterpret_borrow<py::object>(args[2]);
    bound.visit([&](auto& stream) {
      write_state_typed(stream, h, c, optional_contiguous<bool>("mask", mask, "(N,)", {stream.core.batch()}));
    });
    return py::none().release().ptr();
  });
}

// _step_from(x, h, c) -> new h (N, P) and c (N, H), or None: one step of a single layer from the given states
PyObject* step_from(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  return with_stream(self, [&](BoundStream& bound) {
    if (count != 3) throw py::type_error("_step_from: x, h and c are required");
    const auto h = py::reinterpret_borrow<py::object>(args[1]);
    const auto c = py::reinterpret_borrow<py::object>(args[2]);
    return bound.visit([&](auto& stream) {
      {
        const Use use(bound);
        write_state_typed(stream, h, c, nullptr);
      }
      const auto new_h = py::reinterpret_steal<py::object>(step_typed(bound, stream, args[0], nullptr));
      const auto* last = stream.core.c();
      using Real = std::decay_t<decltype(*last)>;
      const Shape shape{stream.core.batch(), stream.core.units()};
      const py::object new_c = last != nullptr ? py::object(py::array_t<Real>(shape, last)) : py::none();
      return py::object(py::make_tuple(new_h, new_c)).release().ptr();
    });
  });
}

// Steps a stream is taken to live for: up to so many ids their input products are made beforehand.
constexpr double kIdUses = 1024;

template <class Real>
std::unique_ptr<TypedStream<Real>> build(const std::vector<const BoundWeights*>& layers, Index batch,
                                         const py::object& table, const py::object& W, const py::object& b) {
  Stack<Real> stack = stack_of<Real>(layers);
  const Index P = stack.back()->arrays.P;
  const Index C = stack.front()->arrays.C;
  StreamHead<Real> head;
  if (!W.is_none()) {
    const py::array weights = W.cast<py::array>();
    const Index K = weights.ndim() == 2 ? weights.shape(0) : 0;
    const Real* data = contiguous<Real>("head", weights, "(K, P)", {K, P});
    const Real* bias = optional_contiguous<Real>("head bias", b, "(K,)", {K});
    head = {panels_of_transpose(data, K, P), Buffer<Real>(bias != nullptr ? K : 0), K};
    if (bias != nullptr) std::copy_n(bias, K, head.bias.data());
  }
  auto typed = std::make_unique<TypedStream<Real>>(std::move(stack), batch, std::move(head));
  if (table.is_none()) return typed;
  const Real* rows = nullptr;
  if (py::isinstance<py::int_>(table)) {
    typed->V = unit_vectors(table, C);
  } else {
    typed->table = table.cast<py::array>();
    typed->V = typed->table.ndim() == 2 ? typed->table.shape(0) : 0;
    rows = contiguous<Real>("table", typed->table, "(V, C)", {typed->V, C});
  }
  typed->inputs = std::make_unique<InputTable<Real>>(typed->core.stack(), rows, typed->V, kIdUses);
  typed->id_rows.resize(static_cast<std::size_t>(batch));
  return typed;
}

// __init__(layers, batch_size, prepare, table, head, head_bias), all by position
int initialise(PyObject* self, PyObject* args, PyObject* names) {
  auto* object = reinterpret_cast<StreamObject*>(self);
  PyObject* done = guarded([&]() -> PyObject* {
    const auto given = py::reinterpret_borrow<py::tuple>(args);
    if (object->stream != nullptr) throw std::runtime_error("stream: __init__ may be called once only");
    if (names != nullptr || given.size() != 6)
      throw py::type_error("Stream: layers, batch_size, prepare, table, head and head_bias are required");
    const auto layers = given[0].cast<std::vector<const BoundWeights*>>();
    const Index batch = given[1].cast<Index>();
    if (layers.empty()) throw py::value_error("layers: at least one is required");
    if (batch < 1) throw py::value_error("batch_size: at least 1 is required, got " + std::to_string(batch));
    auto bound = std::make_unique<BoundStream>();
    if (layers[0]->value.index() == 0)
      bound->value = build<float>(layers, batch, given[3], given[4], given[5]);
    else
      bound->value = build<double>(layers, batch, given[3], given[4], given[5]);
    bound->prepare = given[2];
    object->stream = bound.release();
    return py::none().release().ptr();
  });
  if (done == nullptr) return -1;
  Py_DECREF(done);
  return 0;
}

void destroy(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  delete reinterpret_cast<StreamObject*>(self)->stream;
  type->tp_free(self);
  Py_DECREF(type);
}

template <class F>
PyCFunction function(F* f) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f));
}

constexpr const char* kStepDoc =
    R"(step($self, x, /, *, out=None)
--

Advance by one step.

Parameters
----------
x : array (N, C), or (C,) where N is 1
    Of the stream's dtype. For a model over ids: integers (N,), or one integer where N is 1.
out : array (N, H), or (H,) beside a single x, optional
    Written to and returned; C-contiguous, of the stream's dtype, sharing no memory with x.

Returns
-------
array (N, H), or (H,)
    The last layer's h; of a model the head's outputs, (N, K) or (K,).

Raises
------
ValueError
    On another shape, an id outside the vocabulary, or an ``out`` that cannot be written to.
TypeError
    On another dtype.
RuntimeError
    While another thread is inside the same stream.
)";

}  // namespace

void bind_stream(py::module_& m) {
  static PyMethodDef methods[] = {
      {"step", function(step), METH_FASTCALL | METH_KEYWORDS, kStepDoc},
      {"_process", function(process), METH_FASTCALL, "T steps: x (N, T, C), time_major -> (N, T, H) or (N, T, K)."},
      {"_read_state", read_state, METH_NOARGS, "Copies of h and c (L, N, H), the latter None without one."},
      {"_step_from", function(step_from), METH_FASTCALL, "A step of a layer: x, h, c (1, N, H) -> h, c (N, H)."},
      {"_write_state", function(write_state), METH_FASTCALL, "Replace h, c (L, N, H), None: zeros, where mask (N,)."},
      {nullptr, nullptr, 0, nullptr}};
  static PyType_Slot slots[] = {{Py_tp_new, reinterpret_cast<void*>(PyType_GenericNew)},
                                {Py_tp_init, reinterpret_cast<void*>(initialise)},
                                {Py_tp_dealloc, reinterpret_cast<void*>(destroy)},
                                {Py_tp_methods, methods},
                                {0, nullptr}};
  static PyType_Spec spec = {"rnnfast._core.Stream", sizeof(StreamObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                             slots};
  PyObject* type = PyType_FromSpec(&spec);
  if (type == nullptr) throw py::error_already_set();
  m.attr("Stream") = py::reinterpret_steal<py::object>(type);
}

}  // namespace rnnfast
