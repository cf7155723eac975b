// What a layer chooses of its cell's options, and the cell that is chosen for it.
#pragma once
#include <array>
#include <iterator>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "../rnn/weights.hpp"
#include "arrays.hpp"

namespace rnnfast {

struct CellChoice {
  // Name, alpha and beta of f, g and h, as many as the cell has; or none, for those of the papers.
  std::vector<std::tuple<std::string, double, double>> activations;
  double clip = std::numeric_limits<double>::infinity();
  double leak = 1;
  bool recurrent_dropout = false;  // whether a call may ask for it
  py::object peepholes;            // (peepholes, H), or none
  py::object zoneout;              // (states, H), or none
  py::object norm;                 // (gamma_ih, gamma_hh, gamma_c, beta_c), or none
  double eps = 0;

  template <class Real>
  CellOptions<Real> options(const CellSpec& spec, Index H) const;
  template <class Real>
  NormArrays<Real> norms(const CellSpec& spec, Index H) const;
};

// The cell called so, or the first of the family called so that reads all that was chosen: the fastest one. Throws
// py::value_error on an unknown name, numbers out of range, or an option that no such cell reads.
CellKind choose_cell(const std::string& name, const CellChoice& choice);

Activation activation_named(const std::string& name);

template <class Real>
CellOptions<Real> CellChoice::options(const CellSpec& spec, Index H) const {
  const double unbounded = std::numeric_limits<double>::infinity();
  CellOptions<Real> options{};
  ActivationFn<Real>* const functions[] = {&options.f, &options.g, &options.h};
  for (std::size_t i = 0; i < std::size(functions); ++i) {
    functions[i]->clip = static_cast<Real>(i < 2 ? clip : unbounded);
    functions[i]->kind = spec.activation[i];
    if (i >= activations.size()) continue;
    const auto& [name, alpha, beta] = activations[i];
    functions[i]->kind = activation_named(name);
    functions[i]->alpha = static_cast<Real>(alpha);
    functions[i]->beta = static_cast<Real>(beta);
  }
  options.leak = static_cast<Real>(leak);
  options.peepholes = optional_contiguous<Real>("peepholes", peepholes, "(peepholes, H)", {spec.peepholes, H});
  options.zoneout = optional_contiguous<Real>("zoneout", zoneout, "(states, H)", {spec.states, H});
  return options;
}

template <class Real>
NormArrays<Real> CellChoice::norms(const CellSpec& spec, Index H) const {
  if (norm.is_none()) return {};
  const auto given = norm.cast<std::array<py::object, 4>>();
  const Index rows = spec.gates * H;
  NormArrays<Real> norms{};
  norms.gamma_ih = optional_contiguous<Real>("gamma_ih", given[0], "(G*H,)", {rows});
  norms.gamma_hh = optional_contiguous<Real>("gamma_hh", given[1], "(G*H,)", {rows});
  norms.gamma_c = optional_contiguous<Real>("gamma_c", given[2], "(H,)", {H});
  norms.beta_c = optional_contiguous<Real>("beta_c", given[3], "(H,)", {H});
  norms.eps = static_cast<Real>(eps);
  if (norms.gamma_ih == nullptr || norms.gamma_hh == nullptr || (spec.output_gate >= 0) != (norms.gamma_c != nullptr))
    throw py::value_error("norm: gammas of W x and R h and, of a cell with a cell state, of c are required");
  if (!(eps > 0)) throw py::value_error("eps: a number above zero is required, got " + std::to_string(eps));
  return norms;
}

}  // namespace rnnfast
