// Checks at the boundary, in the caller's words: `name: what was required (formula = numbers), got what`.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <initializer_list>
#include <sstream>
#include <string>

#include "../base/dims.hpp"
#include "../cpu/team.hpp"
#include "gil.hpp"

namespace rnnfast {

namespace py = pybind11;

// The sizes of an array's axes, without memory of its own: a small call would spend a tenth of its time on that.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<Index> sizes) : Shape(sizes.begin(), sizes.size()) {}
  template <class Size>
  Shape(const Size* sizes, std::size_t count) : count_(count) {
    if (count > kMaxAxes) throw py::value_error("at most 64 axes are required, got " + std::to_string(count));
    std::copy_n(sizes, count, sizes_);
  }
  Shape(const Shape& other) : Shape(other.sizes_, other.count_) {}
  Shape& operator=(const Shape& other) {
    count_ = other.count_;
    std::copy_n(other.sizes_, count_, sizes_);
    return *this;
  }

  std::size_t size() const { return count_; }
  const Index* begin() const { return sizes_; }
  const Index* end() const { return sizes_ + count_; }
  Index operator[](std::size_t axis) const { return sizes_[axis]; }
  bool operator==(const Shape& other) const { return std::equal(begin(), end(), other.begin(), other.end()); }
  bool operator!=(const Shape& other) const { return !(*this == other); }

 private:
  static constexpr std::size_t kMaxAxes = 64;  // NumPy's own limit
  std::size_t count_ = 0;
  Index sizes_[kMaxAxes];
};

inline std::string to_text(const Shape& shape) {
  std::ostringstream text;
  text << '(';
  for (std::size_t i = 0; i < shape.size(); ++i) text << (i > 0 ? ", " : "") << shape[i];
  text << (shape.size() == 1 ? ",)" : ")");
  return text.str();
}

inline Shape shape_of(const py::array& array) { return {array.shape(), static_cast<std::size_t>(array.ndim())}; }

[[noreturn]] inline void fail_shape(const std::string& name, const std::string& formula, const Shape& expected,
                                    const Shape& got) {
  throw py::value_error(name + ": shape " + formula + " = " + to_text(expected) + " is required, got " + to_text(got));
}

inline void check_shape(const std::string& name, const py::array& array, const std::string& formula,
                        const Shape& expected) {
  if (shape_of(array) != expected) fail_shape(name, formula, expected, shape_of(array));
}

template <class Real>
std::string type_name() {
  return py::str(py::dtype::of<Real>()).cast<std::string>();
}

template <class Real>
void check_dtype(const std::string& name, const py::array& array) {
  if (!py::isinstance<py::array_t<Real>>(array))
    throw py::type_error(name + ": dtype " + type_name<Real>() + " is required, got " +
                         py::str(array.dtype()).cast<std::string>());
}

// Contiguous, aligned, of the type and shape; never converted.
template <class Real>
const Real* contiguous(const std::string& name, const py::array& array, const std::string& formula,
                       const Shape& expected) {
  check_dtype<Real>(name, array);
  check_shape(name, array, formula, expected);
  constexpr int kNeeded = py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  if ((array.flags() & kNeeded) != kNeeded) throw py::value_error(name + ": a C-contiguous, aligned array is required");
  return static_cast<const Real*>(array.data());
}

template <class Real>
Real* contiguous_writable(const std::string& name, const py::array& array, const std::string& formula,
                          const Shape& expected) {
  if (!array.writeable()) throw py::value_error(name + ": a writable array is required, got a read-only one");
  return const_cast<Real*>(contiguous<Real>(name, array, formula, expected));
}

// None, or as contiguous().
template <class Real>
const Real* optional_contiguous(const std::string& name, const py::object& object, const std::string& formula,
                                const Shape& expected) {
  if (object.is_none()) return nullptr;
  return contiguous<Real>(name, object.cast<py::array>(), formula, expected);
}

// None, or lengths [N] from 0 to `most`.
inline const Index* lengths_within(const std::string& name, const py::object& lengths, Index N, Index most) {
  const Index* data = optional_contiguous<Index>(name, lengths, "(N,)", {N});
  for (Index n = 0; data != nullptr && n < N; ++n)
    if (data[n] < 0 || data[n] > most)
      throw py::value_error(name + ": each within 0.." + std::to_string(most) + " is required, got " +
                            std::to_string(data[n]) + " at index " + std::to_string(n));
  return data;
}

// The function's overload for the type of its first array.
template <class Result, class... Args>
Result for_type(const char* name, const py::array& first, Result (*f32)(Args...), Result (*f64)(Args...),
                std::common_type_t<Args>... args) {
  if (py::isinstance<py::array_t<float>>(first)) return f32(args...);
  if (py::isinstance<py::array_t<double>>(first)) return f64(args...);
  throw py::type_error(std::string(name) + ": dtype float32 or float64 is required, got " +
                       py::str(first.dtype()).cast<std::string>());
}

}  // namespace rnnfast
