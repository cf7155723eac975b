// Every kernel of every ISA, within reach of pytest.
#include <pybind11/stl.h>

#include <map>

#include "../cpu/isa.hpp"
#include "../cpu/processors.hpp"
#include "../cpu/products.hpp"
#include "../cpu/stand_back.hpp"
#include "../rnn/wavefront.hpp"
#include "arrays.hpp"
#include "bind.hpp"
#include "recurrent.hpp"

namespace rnnfast {

namespace {

class IsaScope {
 public:
  explicit IsaScope(const std::string& name) : before_(isa_name()) { set_isa(name); }
  ~IsaScope() { set_isa(before_); }
  IsaScope(const IsaScope&) = delete;
  IsaScope& operator=(const IsaScope&) = delete;

 private:
  const std::string before_;
};

template <class Real>
std::vector<const Real*> row_pointers(const Real* data, Index rows, Index width) {
  std::vector<const Real*> pointers;
  for (Index r = 0; r < rows; ++r) pointers.push_back(data + r * width);
  return pointers;
}

template <class Real>
py::array unary(const std::string& isa, const std::string& name, const py::array_t<Real>& x) {
  static const std::map<std::string, Unary> kinds = {{"exp", Unary::kExp},
                                                     {"sigmoid", Unary::kSigmoid},
                                                     {"tanh", Unary::kTanh},
                                                     {"log", Unary::kLog},
                                                     {"log1p", Unary::kLog1p}};
  const auto kind = kinds.find(name);
  if (kind == kinds.end())
    throw py::value_error("name: exp, sigmoid, tanh, log or log1p is required, got '" + name + "'");
  const IsaScope scope(isa);
  py::array_t<Real> y(std::vector<Index>{x.size()});
  const Real* from = contiguous<Real>("x", x, "(n,)", {x.size()});
  Real* to = y.mutable_data();
  run_team(1, [&](const Member&) { kernels<Real>().unary(kind->second, x.size(), from, to); });
  return std::move(y);
}

template <class Real>
py::array gemm(const std::string& isa, const py::array_t<Real>& a, const py::array_t<Real>& b, const py::object& bias) {
  const IsaScope scope(isa);
  const Index M = a.shape(0);
  const Index K = a.shape(1);
  const Index N = b.shape(1);
  const Real* a_data = contiguous<Real>("a", a, "(M, K)", {M, K});
  const Panels<Real> panels = panels_of(contiguous<Real>("b", b, "(K, N)", {K, N}), K, N);
  const Real* start = optional_contiguous<Real>("bias", bias, "(N,)", {N});
  py::array_t<Real> c({M, N});
  const auto rows = row_pointers(a_data, M, K);
  std::vector<Real*> out;
  for (Index r = 0; r < M; ++r) out.push_back(c.mutable_data() + r * N);
  run_team(1, [&](const Member&) { multiply(panels, M, rows.data(), out.data(), start); });
  return std::move(c);
}

template <class Real>
py::array gemm_tn(const std::string& isa, const py::array_t<Real>& a, const py::array_t<Real>& b,
                  const py::array_t<Real>& c) {
  const IsaScope scope(isa);
  const Index rows = a.shape(0);
  const Index M = a.shape(1);
  const Index N = b.shape(1);
  const auto a_rows = row_pointers(contiguous<Real>("a", a, "(rows, M)", {rows, M}), rows, M);
  const auto b_rows = row_pointers(contiguous<Real>("b", b, "(rows, N)", {rows, N}), rows, N);
  py::array_t<Real> result({M, N});
  std::memcpy(result.mutable_data(), contiguous<Real>("c", c, "(M, N)", {M, N}),
              sizeof(Real) * static_cast<std::size_t>(M * N));
  Buffer<Real> scratch(outer_scratch<Real>(N));
  run_team(1, [&](const Member&) {
    add_outer<Real>(rows, a_rows.data(), {0, M}, {b_rows.data(), N, result.mutable_data()}, scratch.data());
  });
  return std::move(result);
}

template <class Real>
void bind_type(py::module_& m) {
  m.def("unary", &unary<Real>, py::arg("isa"), py::arg("name"), py::arg("x").noconvert());
  m.def("gemm", &gemm<Real>, py::arg("isa"), py::arg("a").noconvert(), py::arg("b").noconvert(), py::arg("bias"));
  m.def("gemm_tn", &gemm_tn<Real>, py::arg("isa"), py::arg("a").noconvert(), py::arg("b").noconvert(),
        py::arg("c").noconvert());
}

// Of layers of `sizes` C, H, H, ... of N sequences of T steps in float32: how many a team computes at once.
int wavefront_threads(const std::string& cell, const std::vector<Index>& sizes, Index N, Index T, int threads) {
  std::vector<LayerSize> layers;
  for (std::size_t i = 1; i < sizes.size(); ++i)
    layers.push_back({&spec_of(cell_named(cell)), sizes[i - 1], sizes[i], sizeof(float), 0});
  return Wavefront(layers, Plan({N, T, nullptr, nullptr}), threads, true).threads();
}

// begin, own_end, end [ms], slept [ms], members, awake, shared
using CallTimes = std::tuple<double, double, double, double, int, bool, bool>;

// Whether the team stands back after each of these calls.
std::vector<bool> stands_back(const std::vector<CallTimes>& calls) {
  const auto at = [](double ms) {
    return Clock::time_point(
        std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double, std::milli>(ms)));
  };
  StandBack judge;
  std::vector<bool> found;
  for (const auto& [begin, own_end, end, slept, members, awake, shared] : calls) {
    judge.judge({at(begin), at(own_end), at(end), static_cast<std::int64_t>(1e6 * slept), members, awake, shared});
    found.push_back(judge.pausing());
  }
  return found;
}

}  // namespace

void bind_testing(py::module_& parent) {
  py::module_ m = parent.def_submodule(
      "testing", "Kernels of every instruction set, and the machine's limits, for tests and benchmarks.");
  m.def("isas", &available_isas);
  m.def("known_isas", &known_isas);
  m.def("get_isa", [] { return std::string(isa_name()); });
  m.def("set_isa", &set_isa);
  m.def("one_way_panels", &one_way_panels);
  m.def("set_one_way_panels", &set_one_way_panels);
  m.def("forced_split", []() -> std::optional<bool> {
    const std::optional<Split> split = forced_split();
    return split ? std::optional<bool>(*split == Split::kUnits) : std::nullopt;
  });
  m.def("forced_lanes", &forced_lanes);
  m.def("force_lanes", &force_lanes, py::arg("lanes"));
  m.def("best_isa", &best_isa, py::arg("available"), py::arg("cap"));
  m.def("cgroup_quota", &cgroup_quota, py::arg("root"));
  m.def("num_threads", &num_threads);
  m.def("oversubscribe", &oversubscribe);
  m.def("force_split", [](const std::optional<bool>& units) {
    force_split(units ? std::optional<Split>(*units ? Split::kUnits : Split::kBatch) : std::nullopt);
  });
  m.def("stands_back", &stands_back, py::arg("calls"));
  m.def("spells_alone", [] { return Barrier::times_left.load(); });
  m.def("wavefront_threads", &wavefront_threads, py::arg("cell"), py::arg("sizes"), py::arg("N"), py::arg("T"),
        py::arg("threads"));
  bind_type<float>(m);
  bind_type<double>(m);
  bind_probe(m);
}

}  // namespace rnnfast
