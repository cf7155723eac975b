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
struct PackedAttention {
  Panels<Real> query;
  Panels<Real> combine;
  WriterAttention<Real> attention;

  PackedAttention(const py::tuple& given, Index R, Index H) : attention(query, combine) {
    const py::array keys = given[0].cast<py::array>();
    const py::array memory = given[1].cast<py::array>();
    if (keys.ndim() != 3 || memory.ndim() != 3)
      throw py::value_error("keys (R, S, A), memory (R, S, M): three axes each are required");
    const Index S = keys.shape(1);
    const Index A = keys.shape(2);
    const Index M = memory.shape(2);
    attention.S = S;
    attention.A = A;
    attention.M = M;
    attention.keys = contiguous<Real>("keys", keys, "(R, S, A)", {R, S, A});
    attention.memory = contiguous<Real>("memory", memory, "(R, S, M)", {R, S, M});
    attention.source_lengths = lengths_within("source_lengths", given[2], R, S);
    attention.v = optional_contiguous<Real>("v", given[3], "(A,)", {A});
    if (attention.v != nullptr) {
      query = panels_of_transpose(contiguous<Real>("query", given[4], "(A, H)", {A, H}), A, H);
      attention.query_bias = contiguous<Real>("query bias", given[5], "(A,)", {A});
    } else if (A != H) {
      throw py::value_error("keys: A = H (" + std::to_string(H) + ") is required, got " + std::to_string(A));
    }
    combine = panels_of_transpose(contiguous<Real>("combine", given[6], "(H, M + H)", {H, M + H}), H, M + H);
    attention.combine_bias = contiguous<Real>("combine bias", given[7], "(H,)", {H});
  }
  PackedAttention(const PackedAttention&) = delete;
  PackedAttention& operator=(const PackedAttention&) = delete;
};

// The arrays of a model, as Python hands them over.
struct ModelArrays {
  std::vector<const BoundWeights*> layers;
  py::object table;
  py::array head;
  py::object bias;
  py::object attention;
  py::object h0;
  py::object c0;
};

// A model as the engine reads it, and what that points into.
template <class Real>
struct PackedModel {
  Stack<Real> layers;
  Panels<Real> head;
  std::unique_ptr<PackedAttention<Real>> attention;
  const Real* head_bias;
  const Real* table;
  const Real* h0;
  const Real* c0;
  Index V;
  Index K;
  Index R;
  Index H;

  explicit PackedModel(const ModelArrays& given)
      : layers(stack_of<Real>(given.layers)), table(nullptr), V(0), K(given.head.shape(0)) {
    const Index C = layers.front()->arrays.C;
    const Index L = static_cast<Index>(layers.size());
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
      attention = std::make_unique<PackedAttention<Real>>(given.attention.cast<py::tuple>(), R, H);
  }

  Writer<Real> writer(Element element) const {
    const Index C = layers.front()->arrays.C;
    if (element == Element::kId && K > V) throw py::value_error("table: an input for every id is required");
    if (element != Element::kId && K != C)
      throw py::value_error("head: as many outputs as inputs are required (C = " + std::to_string(C) + "), got " +
                            std::to_string(K));
    Head<Real> output(head);
    output.b = head_bias;
    output.H = H;
    output.K = K;
    output.attention = attention == nullptr ? nullptr : &attention->attention;
    Writer<Real> writer(output);
    writer.element = element;
    writer.table = table;
    writer.V = V;
    return writer;
  }
};

struct GenerateOptions {
  std::string element;
  Index length = 0;
  Index stop = -1;
  SamplingOptions sampling = {};
  py::object prefix;
  bool log_probability = false;
};

// The ids forced at the start, of K.
template <class Real>
void read_prefix(GenerateCall<Real>& call, const py::object& prefix, Index K) {
  if (prefix.is_none()) return;
  const py::array given = prefix.cast<py::array>();
  call.prefix_length = given.ndim() == 2 ? given.shape(1) : 0;
  call.prefix = contiguous<Index>("prefix", given, "(R, P)", {call.R, call.prefix_length});
  for (Index i = 0; i < call.R * call.prefix_length; ++i)
    if (call.prefix[i] >= K) throw py::value_error("prefix: ids below " + std::to_string(K) + " are required");
}

template <class Real>
py::tuple generate_typed(const PackedModel<Real>& model, const GenerateOptions& options) {
  const Element element = element_named(options.element);
  const bool ids_wanted = element == Element::kId;
  const Index R = model.R;
  const Index length = options.length;
  py::array_t<Index> ids(Shape{R, ids_wanted ? length : 0});
  py::array_t<Index> counts(Shape{R});
  py::array_t<double> log_probability(Shape{R, options.log_probability ? length : 0});
  py::array_t<Real> vectors(Shape{R, ids_wanted ? 0 : length, model.K});
  std::fill_n(ids.mutable_data(), ids.size(), Index{0});
  std::fill_n(log_probability.mutable_data(), log_probability.size(), 0.0);
  std::fill_n(vectors.mutable_data(), vectors.size(), Real(0));
  GenerateCall<Real> call(model.layers, model.writer(element));
  call.sampling = options.sampling;
  call.R = R;
  call.length = length;
  call.stop = options.stop;
  call.h0 = model.h0;
  call.c0 = model.c0;
  read_prefix(call, options.prefix, model.K);
  call.ids = ids.mutable_data();
  call.vectors = vectors.mutable_data();
  if (options.log_probability) call.log_probability = log_probability.mutable_data();
  call.counts = counts.mutable_data();
  call.threads = num_threads();
  bool finished = false;
  {
    const GilRelease nogil;
    Interrupt interrupt([&nogil] { return nogil.signals(); });
    finished = generate(call, interrupt);
  }
  if (!finished) throw py::error_already_set();
  return py::make_tuple(ids_wanted ? py::array(ids) : py::array(vectors), counts, log_probability);
}

template <class Real>
py::tuple beam_typed(const PackedModel<Real>& model, Index length, Index beams, Index stop, double length_penalty) {
  py::array_t<Index> ids(Shape{model.R, length});
  py::array_t<Index> counts(Shape{model.R});
  py::array_t<double> scores(Shape{model.R});
  std::fill_n(ids.mutable_data(), ids.size(), Index{0});
  BeamCall<Real> call(model.layers, model.writer(Element::kId));
  call.R = model.R;
  call.length = length;
  call.beams = beams;
  call.stop = stop;
  call.length_penalty = length_penalty;
  call.h0 = model.h0;
  call.c0 = model.c0;
  call.ids = ids.mutable_data();
  call.counts = counts.mutable_data();
  call.scores = scores.mutable_data();
  call.threads = num_threads();
  bool finished = false;
  {
    const GilRelease nogil;
    Interrupt interrupt([&nogil] { return nogil.signals(); });
    finished = beam_search(call, interrupt);
  }
  if (!finished) throw py::error_already_set();
  return py::make_tuple(ids, counts, scores);
}

// Calls f with the model, packed in the layers' type.
template <class F>
py::tuple with_model(const ModelArrays& given, const F& f) {
  if (given.layers.empty()) throw py::value_error("layers: at least one is required");
  if (given.layers[0]->value.index() == 0) return f(PackedModel<float>(given));
  return f(PackedModel<double>(given));
}

}  // namespace

void bind_generate(py::module_& m) {
  m.def(
      "generate",
      [](const std::vector<const BoundWeights*>& layers, const py::object& table, const py::array& head,
         const py::object& bias, const py::object& attention, const py::object& h0, const py::object& c0,
         const std::string& element, Index length, Index stop, double temperature, Index top_k, double top_p,
         bool greedy, std::uint64_t seed, const py::object& prefix, bool log_probability) {
        GenerateOptions options;
        options.element = element;
        options.length = length;
        options.stop = stop;
        options.sampling.temperature = temperature;
        options.sampling.top_k = top_k;
        options.sampling.top_p = top_p;
        options.sampling.greedy = greedy;
        options.sampling.seed = seed;
        options.prefix = prefix;
        options.log_probability = log_probability;
        return with_model({layers, table, head, bias, attention, h0, c0},
                          [&](const auto& model) { return generate_typed(model, options); });
      },
      py::arg("layers"), py::arg("table"), py::arg("head"), py::arg("bias"), py::arg("attention"), py::arg("h0"),
      py::arg("c0"), py::arg("element"), py::arg("length"), py::arg("stop"), py::arg("temperature"), py::arg("top_k"),
      py::arg("top_p"), py::arg("greedy"), py::arg("seed"), py::arg("prefix"), py::arg("log_probability"));
  m.def(
      "beam_search",
      [](const std::vector<const BoundWeights*>& layers, const py::object& table, const py::array& head,
         const py::object& bias, const py::object& attention, const py::object& h0, const py::object& c0, Index length,
         Index beams, Index stop, double length_penalty) {
        return with_model({layers, table, head, bias, attention, h0, c0},
                          [&](const auto& model) { return beam_typed(model, length, beams, stop, length_penalty); });
      },
      py::arg("layers"), py::arg("table"), py::arg("head"), py::arg("bias"), py::arg("attention"), py::arg("h0"),
      py::arg("c0"), py::arg("length"), py::arg("beams"), py::arg("stop"), py::arg("length_penalty"));
}

}  // namespace rnnfast
