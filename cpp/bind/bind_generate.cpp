#include <pybind11/stl.h>

#include <memory>

#include "../generation/generate.hpp"
#include "bind.hpp"
#include "recurrent.hpp"

namespace rnnfast {

namespace {

Element element_named(const std::string& name) {
  if (name == "id") return Element::kId;
  if (name == "labels") return Element::kLabels;
  if (name == "vector") return Element::kVector;
  throw py::value_error("element: one of id, labels, vector is required, got '" + name + "'");
}

// What a writer attends with, packed. Comes as (keys, memory, source lengths, v, query W, query b, combine W, combine
// b).
template <class Real>
struct AttentionParts {
  Panels<Real> query, combine;
  WriterAttention<Real> parts;

  AttentionParts(const py::tuple& given, Index R, Index H)
      : parts{0, 0, 0, nullptr, nullptr, nullptr, nullptr, query, nullptr, combine, nullptr} {
    const py::array keys = given[0].cast<py::array>(), memory = given[1].cast<py::array>();
    if (keys.ndim() != 3 || memory.ndim() != 3)
      throw py::value_error("keys (R, S, A), memory (R, S, M): three axes each are required");
    const Index S = keys.shape(1), A = keys.shape(2), M = memory.shape(2);
    parts.S = S, parts.A = A, parts.M = M;
    parts.keys = contiguous<Real>("keys", keys, "(R, S, A)", {R, S, A});
    parts.memory = contiguous<Real>("memory", memory, "(R, S, M)", {R, S, M});
    parts.source_lengths = lengths_within("source_lengths", given[2], R, S);
    parts.v = optional_contiguous<Real>("v", given[3], "(A,)", {A});
    if (parts.v != nullptr) {
      query = panels_of_transpose(contiguous<Real>("query", given[4], "(A, H)", {A, H}), A, H);
      parts.query_bias = contiguous<Real>("query bias", given[5], "(A,)", {A});
    } else if (A != H) {
      throw py::value_error("keys: A = H (" + std::to_string(H) + ") is required, got " + std::to_string(A));
    }
    combine = panels_of_transpose(contiguous<Real>("combine", given[6], "(H, M + H)", {H, M + H}), H, M + H);
    parts.combine_bias = contiguous<Real>("combine bias", given[7], "(H,)", {H});
  }
  AttentionParts(const AttentionParts&) = delete;
  AttentionParts& operator=(const AttentionParts&) = delete;
};

// What Python hands over of a model.
struct Given {
  std::vector<const BoundWeights*> layers;
  py::object table;
  py::array head;
  py::object bias, attention, h0, c0;
};

// A model's parts as the engine reads them, and what they point into.
template <class Real>
struct RowPartition {
  Stack<Real> layers;
  Panels<Real> head;
  std::unique_ptr<AttentionParts<Real>> attention;
  const Real *head_bias, *table, *h0, *c0;
  Index V, K, R, H;

  explicit RowPartition(const Given& given)
      : layers(stack_of<Real>(given.layers)), table(nullptr), V(0), K(given.head.shape(0)) {
    const Index C = layers.front()->arrays.C, L = static_cast<Index>(layers.size());
    const Index units = layers.back()->arrays.H;
    H = layers.back()->arrays.P;
    head = panels_of_transpose(contiguous<Real>("head", given.head, "(K, H)", {K, H}), K, H);
    head_bias = optional_contiguous<Real>("head bias", given.bias, "(K,)", {K});
    if (py::isinstance<py::int_>(given.table)) {
      V = unit_vectors(given.table, C);
    } else if (!given.table.is_none()) {
      V = given.table.cast<py::array>().shape(0);
      table = contiguous<Real>("table", given.table.cast<py::array>(), "(V, C)", {V, C});
    }
    const py::array states = given.h0.cast<py::array>();
    R = states.shape(1);
    h0 = contiguous<Real>("h0", states, "(L, R, H)", {L, R, H});
    c0 = optional_contiguous<Real>("c0", given.c0, "(L, R, H)", {L, R, units});
    if ((c0 != nullptr) != layers.front()->spec().has_c)
      throw py::value_error("c0: one is required by LSTM, and by no other");
    if (!given.attention.is_none())
      attention = std::make_unique<AttentionParts<Real>>(given.attention.cast<py::tuple>(), R, H);
  }

  Writer<Real> writer(Element element) const {
    const Index C = layers.front()->arrays.C;
    if (element == Element::kId && K > V) throw py::value_error("table: an input for every id is required");
    if (element != Element::kId && K != C)
      throw py::value_error("head: as many outputs as inputs are required (C = " + std::to_string(C) + "), got " +
                            std::to_string(K));
    return {element, table, V, {head, head_bias, H, K, attention == nullptr ? nullptr : &attention->parts}};
  }
};

struct GenerateOptions {
  std::string element;
  Index length, stop;
  SamplingOptions sampling;
  py::object prefix;
  bool log_probability;
};

template <class Real>
py::tuple generate_typed(const RowPartition<Real>& parts, const GenerateOptions& options) {
  const Element element = element_named(options.element);
  const bool ids_wanted = element == Element::kId;
  const Index R = parts.R, length = options.length;
  py::array_t<Index> ids(Shape{R, ids_wanted ? length : 0}), counts(Shape{R});
  py::array_t<double> log_probability(Shape{R, options.log_probability ? length : 0});
  py::array_t<Real> vectors(Shape{R, ids_wanted ? 0 : length, parts.K});
  const Index* prefix = nullptr;
  Index prefix_length = 0;
  if (!options.prefix.is_none()) {
    const py::array given = options.prefix.cast<py::array>();
    prefix_length = given.ndim() == 2 ? given.shape(1) : 0;
    prefix = contiguous<Index>("prefix", given, "(R, P)", {R, prefix_length});
    for (Index i = 0; i < R * prefix_length; ++i)
      if (prefix[i] >= parts.K) throw py::value_error("prefix: ids below " + std::to_string(parts.K) + " are required");
  }
  std::fill_n(ids.mutable_data(), ids.size(), Index{0});
  std::fill_n(log_probability.mutable_data(), log_probability.size(), 0.0);
  std::fill_n(vectors.mutable_data(), vectors.size(), Real(0));
  const GenerateCall<Real> call{parts.layers,
                                parts.writer(element),
                                options.sampling,
                                R,
                                length,
                                options.stop,
                                parts.h0,
                                parts.c0,
                                prefix,
                                prefix_length,
                                ids.mutable_data(),
                                vectors.mutable_data(),
                                options.log_probability ? log_probability.mutable_data() : nullptr,
                                counts.mutable_data(),
                                num_threads()};
  bool finished = false;
  {
    const GilRelease nogil;
    Interrupt interrupt(python_signals);
    finished = generate(call, interrupt);
  }
  if (!finished) throw py::error_already_set();
  return py::make_tuple(ids_wanted ? py::array(ids) : py::array(vectors), counts, log_probability);
}

template <class Real>
py::tuple beam_typed(const RowPartition<Real>& parts, Index length, Index beams, Index stop, double length_penalty) {
  py::array_t<Index> ids(Shape{parts.R, length}), counts(Shape{parts.R});
  py::array_t<double> scores(Shape{parts.R});
  std::fill_n(ids.mutable_data(), ids.size(), Index{0});
  const BeamCall<Real> call{parts.layers,
                            parts.writer(Element::kId),
                            parts.R,
                            length,
                            beams,
                            stop,
                            length_penalty,
                            parts.h0,
                            parts.c0,
                            ids.mutable_data(),
                            counts.mutable_data(),
                            scores.mutable_data(),
                            num_threads()};
  bool finished = false;
  {
    const GilRelease nogil;
    Interrupt interrupt(python_signals);
    finished = beam_search(call, interrupt);
  }
  if (!finished) throw py::error_already_set();
  return py::make_tuple(ids, counts, scores);
}

// Calls f with RowPartition of the layers' type.
template <class F>
py::tuple with_parts(const Given& given, const F& f) {
  if (given.layers.empty()) throw py::value_error("layers: at least one is required");
  if (given.layers[0]->value.index() == 0) return f(RowPartition<float>(given));
  return f(RowPartition<double>(given));
}

}  // namespace

void bind_generate(py::module_& m) {
  m.def(
      "generate",
      [](const std::vector<const BoundWeights*>& layers, const py::object& table, const py::array& head,
         const py::object& bias, const py::object& attention, const py::object& h0, const py::object& c0,
         const std::string& element, Index length, Index stop, double temperature, Index top_k, double top_p,
         bool greedy, std::uint64_t seed, const py::object& prefix, bool log_probability) {
        const GenerateOptions options{element, length,         stop, {temperature, top_k, top_p, greedy, seed},
                                      prefix,  log_probability};
        return with_parts({layers, table, head, bias, attention, h0, c0},
                          [&](const auto& parts) { return generate_typed(parts, options); });
      },
      py::arg("layers"), py::arg("table"), py::arg("head"), py::arg("bias"), py::arg("attention"), py::arg("h0"),
      py::arg("c0"), py::arg("element"), py::arg("length"), py::arg("stop"), py::arg("temperature"), py::arg("top_k"),
      py::arg("top_p"), py::arg("greedy"), py::arg("seed"), py::arg("prefix"), py::arg("log_probability"));
  m.def(
      "beam_search",
      [](const std::vector<const BoundWeights*>& layers, const py::object& table, const py::array& head,
         const py::object& bias, const py::object& attention, const py::object& h0, const py::object& c0, Index length,
         Index beams, Index stop, double length_penalty) {
        return with_parts({layers, table, head, bias, attention, h0, c0},
                          [&](const auto& parts) { return beam_typed(parts, length, beams, stop, length_penalty); });
      },
      py::arg("layers"), py::arg("table"), py::arg("head"), py::arg("bias"), py::arg("attention"), py::arg("h0"),
      py::arg("c0"), py::arg("length"), py::arg("beams"), py::arg("stop"), py::arg("length_penalty"));
}

}  // namespace rnnfast
