// What each file of this folder adds to the module.
#pragma once
#include <pybind11/pybind11.h>

namespace rnnfast {

void bind_cpu(pybind11::module_& m);
void bind_registry(pybind11::module_& m);
void bind_rnn(pybind11::module_& m);
void bind_nn(pybind11::module_& m);
void bind_attention(pybind11::module_& m);
void bind_updates(pybind11::module_& m);
void bind_testing(pybind11::module_& m);
void bind_probe(pybind11::module_& testing);

}  // namespace rnnfast
