// The machine's limits, within reach of the benchmark.
#include <pybind11/stl.h>

#include "../cpu/probe.hpp"
#include "arrays.hpp"
#include "bind.hpp"

namespace rnnfast {

namespace {

void check_positive(const char* name, double value) {
  if (!(value > 0))
    throw py::value_error(std::string(name) + ": a positive number is required, got " + std::to_string(value));
}

double clock_rate(double seconds) {
  check_positive("seconds", seconds);
  const GilRelease nogil;
  return measure_clock(seconds);
}

double issue_rate(int threads, double seconds) {
  check_positive("threads", threads);
  check_positive("seconds", seconds);
  const GilRelease nogil;
  return measure_issue(threads, seconds);
}

double fma_rate(int threads, double seconds) {
  check_positive("threads", threads);
  check_positive("seconds", seconds);
  const GilRelease nogil;
  return measure_fma(threads, seconds);
}

double read_rate(int threads, Index bytes, double seconds) {
  check_positive("threads", threads);
  check_positive("bytes", static_cast<double>(bytes));
  check_positive("seconds", seconds);
  const GilRelease nogil;
  return measure_read(threads, bytes, seconds);
}

double barrier_time(int threads, Index waits) {
  check_positive("threads", threads);
  check_positive("waits", static_cast<double>(waits));
  const GilRelease nogil;
  return measure_barrier(threads, waits);
}

// (nanoseconds of a barrier, rate of products of all at once divided by so many times that of one)
std::pair<double, double> what_together(int threads) {
  check_positive("threads", threads);
  const GilRelease nogil;
  const Together found = together(threads);
  return {found.barrier_ns, found.efficiency};
}

// a (M, K), b (K, N), c (M, N): c = a b, b packed beforehand  ->  seconds of each repeat
std::vector<double> gemm_times(const py::array& a, const py::array& b, const py::array& c, int threads, Index repeats) {
  if (a.ndim() != 2 || b.ndim() != 2) throw py::value_error("a, b: two axes each are required");
  check_positive("threads", threads);
  check_positive("repeats", static_cast<double>(repeats));
  const Index M = a.shape(0);
  const Index K = a.shape(1);
  const Index N = b.shape(1);
  const float* from = contiguous<float>("a", a, "(M, K)", {M, K});
  const Panels<float> panels = panels_of(contiguous<float>("b", b, "(K, N)", {K, N}), K, N);
  float* to = contiguous_writable<float>("c", c, "(M, N)", {M, N});
  std::vector<const float*> a_rows;
  std::vector<float*> c_rows;
  for (Index r = 0; r < M; ++r) {
    a_rows.push_back(from + r * K);
    c_rows.push_back(to + r * N);
  }
  const GilRelease nogil;
  return measure_gemm(threads, panels, M, a_rows.data(), c_rows.data(), repeats);
}

}  // namespace

void bind_probe(py::module_& testing) {
  testing.def("clock_rate", &clock_rate, py::arg("seconds"));
  testing.def("issue_rate", &issue_rate, py::arg("threads"), py::arg("seconds"));
  testing.def("fma_rate", &fma_rate, py::arg("threads"), py::arg("seconds"));
  testing.def("read_rate", &read_rate, py::arg("threads"), py::arg("bytes"), py::arg("seconds"));
  testing.def("barrier_time", &barrier_time, py::arg("threads"), py::arg("waits"));
  testing.def("together", &what_together, py::arg("threads"));
  testing.def("gemm_times", &gemm_times, py::arg("a"), py::arg("b"), py::arg("c"), py::arg("threads"),
              py::arg("repeats"));
}

}  // namespace rnnfast
