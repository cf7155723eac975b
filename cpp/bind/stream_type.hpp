// What a stream holds for Python, and how it reads the arrays of a step without pybind11's conversions, which would
// cost as much as the step of a small layer.
#pragma once
#include <memory>
#include <variant>
#include <vector>

#include "../generation/input_table.hpp"
#include "../rnn/stream.hpp"
#include "recurrent.hpp"

namespace rnnfast {

template <class Real>
struct TypedStream {
  Stream<Real> core;
  py::array table;  // (V, C) the input of every id; without elements where that is a unit vector, or x holds vectors
  Index V = 0;      // 0: x holds vectors
  std::unique_ptr<InputTable<Real>> inputs;  // of the ids
  std::vector<const Real*> id_rows;
  py::dtype dtype = py::dtype::of<Real>();

  TypedStream(Stack<Real> layers, Index batch, StreamHead<Real> head)
      : core(std::move(layers), batch, std::move(head)) {}
  bool takes_ids() const { return V > 0; }
  Shape out_shape(bool single) const { return single ? Shape{core.width()} : Shape{core.batch(), core.width()}; }
};

struct BoundStream {
  std::variant<std::unique_ptr<TypedStream<float>>, std::unique_ptr<TypedStream<double>>> value;
  py::object prepare;  // makes an array the engine can read of another x, or raises
  py::dtype ids = py::dtype::of<Index>();
  py::object out_name = py::reinterpret_steal<py::object>(PyUnicode_InternFromString("out"));
  bool busy = false;  // a call is under way; read and written under the GIL only

  template <class F>
  auto visit(const F& f) {
    return std::visit([&](const auto& typed) { return f(*typed); }, value);
  }
};

// Held during every use: a second thread gets an error instead of half a state.
class Use {
 public:
  explicit Use(BoundStream& stream) : stream_(stream) {
    if (stream.busy) throw std::runtime_error("stream: one call at a time is required, got two from different threads");
    stream.busy = true;
  }
  ~Use() { stream_.busy = false; }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

 private:
  BoundStream& stream_;
};

// The x of a step. `single`: one sequence given without its axis. [first, last): the memory it lies in.
template <class Real>
struct StepArray {
  StepInput<Real> input{};
  bool single = false;
  const Real* first = nullptr;
  const Real* last = nullptr;
};

using ArrayProxy = py::detail::PyArray_Proxy;
constexpr int kAligned = py::detail::npy_api::NPY_ARRAY_ALIGNED_;

// The fields of an aligned array of the type; null for anything else.
inline const ArrayProxy* plain_array(PyObject* object, const py::dtype& dtype) {
  const auto& numpy = py::detail::npy_api::get();
  if (!numpy.PyArray_Check_(object)) return nullptr;
  const auto* array = reinterpret_cast<const ArrayProxy*>(object);
  const bool same = array->descr == dtype.ptr() || numpy.PyArray_EquivTypes_(array->descr, dtype.ptr());
  return same && (array->flags & kAligned) != 0 ? array : nullptr;
}

// The same of an x: a subclass may mean something else (a mask) and is left to `prepare`.
inline const ArrayProxy* plain_input(PyObject* object, const py::dtype& dtype) {
  const auto& numpy = py::detail::npy_api::get();
  return Py_TYPE(object) == numpy.PyArray_Type_ ? plain_array(object, dtype) : nullptr;
}

// (C,) for a batch of one, or (N, C) with contiguous rows; false for anything else.
template <class Real>
bool read_vectors(const TypedStream<Real>& stream, PyObject* object, StepArray<Real>& x) {
  const ArrayProxy* array = plain_input(object, stream.dtype);
  const Index N = stream.core.batch();
  const Index C = stream.core.inputs();
  constexpr Index kSize = sizeof(Real);
  if (array == nullptr || array->nd < 1 || array->nd > 2) return false;
  x.single = array->nd == 1;
  const int last = array->nd - 1;
  if (array->dimensions[last] != C || (array->strides[last] != kSize && C > 1)) return false;
  if (x.single ? N != 1 : array->dimensions[0] != N || array->strides[0] % kSize != 0) return false;
  const Real* data = reinterpret_cast<const Real*>(array->data);
  const Index ld = x.single ? 0 : array->strides[0] / kSize;
  const Index reach = (N - 1) * ld;
  x.input = {data, ld, nullptr, false};
  x.first = data + std::min<Index>(0, reach);
  x.last = data + std::max<Index>(0, reach) + C;
  return true;
}

// An int for a batch of one, or int64 (N,); false for anything else. Ids out of range raise.
template <class Real>
bool read_ids(TypedStream<Real>& stream, const BoundStream& bound, PyObject* object, StepArray<Real>& x) {
  const Index N = stream.core.batch();
  const auto row_of_id = [&](Index id) {
    if (id < 0 || id >= stream.V)
      throw py::value_error("x: ids 0..V-1 (V = " + std::to_string(stream.V) + ") are required, got " +
                            std::to_string(id));
    return stream.inputs->row(id);
  };
  if (PyLong_CheckExact(object) && N == 1) {
    int overflow = 0;
    const Index id = PyLong_AsLongLongAndOverflow(object, &overflow);
    stream.id_rows[0] = row_of_id(overflow != 0 ? -1 : id);
    x.single = true;
  } else {
    const ArrayProxy* array = plain_input(object, bound.ids);
    if (array == nullptr || array->nd > 1) return false;
    x.single = array->nd == 0;
    if (x.single ? N != 1 : array->dimensions[0] != N) return false;
    for (Index n = 0; n < N; ++n)
      stream.id_rows[static_cast<std::size_t>(n)] =
          row_of_id(*reinterpret_cast<const Index*>(array->data + (x.single ? 0 : n * array->strides[0])));
  }
  x.input = {nullptr, 0, stream.id_rows.data(), stream.inputs->projected()};
  return true;
}

// Where to write: the caller's array, once it is sure to be fit.
template <class Real>
Real* writable_out(const TypedStream<Real>& stream, PyObject* out, const StepArray<Real>& x) {
  const ArrayProxy* array = plain_array(out, stream.dtype);
  constexpr int kNeeded = py::array::c_style | kAligned | py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  const int nd = x.single ? 1 : 2;
  const bool fit = array != nullptr && (array->flags & kNeeded) == kNeeded && array->nd == nd &&
                   array->dimensions[nd - 1] == stream.core.width() &&
                   (x.single || array->dimensions[0] == stream.core.batch());
  if (!fit) {
    if (!py::isinstance<py::array>(out)) throw py::type_error("out: an array is required, got another object");
    contiguous_writable<Real>("out", py::reinterpret_borrow<py::array>(out), x.single ? "(outputs,)" : "(N, outputs)",
                              stream.out_shape(x.single));
    throw py::value_error("out: an array to write to is required, got another one");
  }
  Real* data = reinterpret_cast<Real*>(array->data);
  if (data < x.last && x.first < data + stream.core.batch() * stream.core.width())
    throw py::value_error("out: memory of its own is required, got an array that shares some with x");
  return data;
}

template <class Real>
py::object new_output(const TypedStream<Real>& stream, bool single) {
  const py::ssize_t dims[] = {stream.core.batch(), stream.core.width()};
  const auto& numpy = py::detail::npy_api::get();
  PyObject* array = numpy.PyArray_NewFromDescr_(numpy.PyArray_Type_, stream.dtype.inc_ref().ptr(), single ? 1 : 2,
                                                single ? dims + 1 : dims, nullptr, nullptr, 0, nullptr);
  if (array == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(array);
}

inline py::object call_python(const py::object& function, PyObject* argument) {
  PyObject* result =
      outlive_interpreter([&] { return PyObject_CallFunctionObjArgs(function.ptr(), argument, nullptr); });
  if (result == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(result);
}

// A step of an x that is readable as it is; null where it is not. `use` is held from before the first write to the
// stream: a call that is refused because of another one changes nothing.
template <class Real>
PyObject* try_step(BoundStream& bound, TypedStream<Real>& stream, PyObject* given, PyObject* out) {
  const Use use(bound);
  StepArray<Real> x;
  if (!(stream.takes_ids() ? read_ids(stream, bound, given, x) : read_vectors(stream, given, x))) return nullptr;
  py::object result = out != nullptr ? py::reinterpret_borrow<py::object>(out) : new_output(stream, x.single);
  Real* to = out != nullptr ? writable_out(stream, out, x)
                            : reinterpret_cast<Real*>(reinterpret_cast<ArrayProxy*>(result.ptr())->data);
  if (stream.core.slow()) {
    const GilRelease nogil;
    stream.core.step(x.input, to);
  } else {
    stream.core.step(x.input, to);
  }
  return result.release().ptr();
}

template <class Real>
PyObject* step_typed(BoundStream& bound, TypedStream<Real>& stream, PyObject* given, PyObject* out) {
  if (PyObject* result = try_step(bound, stream, given, out)) return result;
  const py::object prepared = call_python(bound.prepare, given);  // runs Python, hence outside of any use
  if (PyObject* result = try_step(bound, stream, prepared.ptr(), out)) return result;
  throw py::value_error("x: an array of the stream's batch is required");
}

}  // namespace rnnfast
