#include "bind.hpp"

#include "../cpu/isa.hpp"

PYBIND11_MODULE(_core, m) {
  m.doc() = "The engine of rnnfast. Private: use the functions of the package.";
  m.attr("__version__") = RNNFAST_VERSION;
  rnnfast::choose_isa();
  rnnfast::bind_cpu(m);
  rnnfast::bind_rnn(m);
  rnnfast::bind_nn(m);
  rnnfast::bind_testing(m);
}
