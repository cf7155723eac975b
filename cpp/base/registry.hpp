// The registry: one list of everything that comes in kinds. Enums, counts, tables of kernels and declarations are made
// of these lists, and _core hands them to Python and the tests as data. CONTRIBUTING.md says what an entry needs
// beside.
#pragma once

#define RNNFAST_COUNT(...) +1
#define RNNFAST_FIRST(first, ...) first,

// ACTIVATION(enumerator, name, numbers, alpha, beta, alphas)
//   name      in Python, and of the two formulas in simd/activations-inl.hpp, <name> and d_<name>
//   numbers   how many of alpha and beta it takes; alpha, beta: their defaults, those of ONNX where it has the
//   function,
//             and 0 where there are fewer
//   alphas    those for which the function exists and its output tells the derivative: kEveryAlpha, kAtLeastZero or
//             kOtherThanZero (base/activations.hpp)
// All rows but the last one end in a backslash.
// clang-format off
#define RNNFAST_ACTIVATIONS(ACTIVATION)                                        \
  ACTIVATION(kTanh,            tanh,             0, 0,    0,   kEveryAlpha)    \
  ACTIVATION(kRelu,            relu,             0, 0,    0,   kEveryAlpha)    \
  ACTIVATION(kIdentity,        identity,         0, 0,    0,   kEveryAlpha)    \
  ACTIVATION(kSigmoid,         sigmoid,          0, 0,    0,   kEveryAlpha)    \
  ACTIVATION(kHardSigmoid,     hard_sigmoid,     2, 0.2,  0.5, kEveryAlpha)    \
  ACTIVATION(kHardTanh,        hard_tanh,        0, 0,    0,   kEveryAlpha)    \
  ACTIVATION(kSoftsign,        softsign,         0, 0,    0,   kEveryAlpha)    \
  ACTIVATION(kSoftplus,        softplus,         0, 0,    0,   kEveryAlpha)    \
  ACTIVATION(kElu,             elu,              1, 1,    0,   kAtLeastZero)   \
  ACTIVATION(kLeakyRelu,       leaky_relu,       1, 0.01, 0,   kAtLeastZero)   \
  ACTIVATION(kThresholdedRelu, thresholded_relu, 1, 1,    0,   kAtLeastZero)   \
  ACTIVATION(kScaledTanh,      scaled_tanh,      2, 1,    1,   kOtherThanZero) \
  ACTIVATION(kAffine,          affine,           2, 1,    0,   kEveryAlpha)

// CELL(enumerator, name, family, spec, policy)
//   family    what a layer asks for; the list goes from its fastest cell to its most general one
//   spec      what the drivers know of it (base/cells.hpp)
//   policy    its arithmetic (simd/cells-inl.hpp), with activations that are Fixed, OfElman or chosen at Runtime
//             (aliases in simd/kernels.cpp)
#define RNNFAST_CELLS(CELL)                                                                                          \
  CELL(kRnn,              rnn,                rnn,          rnn_spec(kOfElman),          Elman<Real, OfElman>)       \
  CELL(kGenericRnn,       generic_rnn,        rnn,          rnn_spec(kGenericRnnReads),  Elman<Real, Runtime>)       \
  CELL(kLeakyRnn,         leaky_rnn,          rnn,          rnn_spec(kLeakyRnnReads),    Leaky<Real, Runtime>)       \
  CELL(kLstm,             lstm,               lstm,         lstm_spec("ifgo", kNoOptions), Lstm<Real, Fixed, false>)   \
  CELL(kGenericLstm,      generic_lstm,       lstm,         lstm_spec("ifgo", kGeneric), Lstm<Real, Runtime, false>) \
  CELL(kCoupledLstm,      coupled_lstm,       coupled_lstm, lstm_spec("igo", kGeneric),  Lstm<Real, Runtime, true>)  \
  CELL(kGru,              gru,                gru,          gru_spec(kNorm),             Gru<Real, Fixed>)           \
  CELL(kGenericGru,       generic_gru,        gru,          gru_spec(kGeneric),          Gru<Real, Runtime>)         \
  CELL(kGruBefore,        gru_before,         gru_before,   gru_before_spec(kNorm),      GruBefore<Real, Fixed>)     \
  CELL(kGenericGruBefore, generic_gru_before, gru_before,   gru_before_spec(kGeneric),   GruBefore<Real, Runtime>)

// LOSS(enumerator, name, kernel, outputs, targets, kind)
//   name              in Python, and of the reference's function
//   kernel            in simd/nn-inl.hpp
//   outputs, targets  their names in errors
//   kind              kClasses: one class a row, the mean is over rows; kNumbers: one number an output, over all of them
#define RNNFAST_LOSSES(LOSS)                                                                                   \
  LOSS(kCrossEntropy,       softmax_cross_entropy, cross_entropy,        logits,     targets, kClasses)        \
  LOSS(kSquaredError,       mean_squared_error,    squared_error,        prediction, target,  kNumbers)        \
  LOSS(kBinaryCrossEntropy, binary_cross_entropy,  binary_cross_entropy, logits,     target,  kNumbers)

// OPTIMIZER(enumerator, name, struct, options, buffers...)
//   name      in Python, and of the kernel in simd/optim-inl.hpp
//   struct    of its options (base/training.hpp), as the kernel reads them
//   options   a list of OPTION(name, range)
//   buffers   what it keeps for every parameter
#define RNNFAST_OPTIMIZERS(OPTIMIZER)                                                                          \
  OPTIMIZER(kSgd,     sgd,     SgdOptions,     RNNFAST_SGD,     "momentum_buffer")                             \
  OPTIMIZER(kRmsprop, rmsprop, RmspropOptions, RNNFAST_RMSPROP, "square_avg", "momentum_buffer", "grad_avg")   \
  OPTIMIZER(kAdam,    adam,    AdamOptions,    RNNFAST_ADAM,    "exp_avg", "exp_avg_sq")                      \
  OPTIMIZER(kAmsgrad, amsgrad, AmsgradOptions, RNNFAST_ADAM,    "exp_avg", "exp_avg_sq", "max_exp_avg_sq")    \
  OPTIMIZER(kNadam,   nadam,   NadamOptions,   RNNFAST_NADAM,   "exp_avg", "exp_avg_sq")
#define RNNFAST_SGD(OPTION)           \
  OPTION(lr,           kAtLeastZero)  \
  OPTION(momentum,     kAtLeastZero)  \
  OPTION(dampening,    kFinite)       \
  OPTION(weight_decay, kAtLeastZero)  \
  OPTION(nesterov,     kFlag)
#define RNNFAST_RMSPROP(OPTION)       \
  OPTION(lr,           kAtLeastZero)  \
  OPTION(alpha,        kAtLeastZero)  \
  OPTION(eps,          kAtLeastZero)  \
  OPTION(weight_decay, kAtLeastZero)  \
  OPTION(momentum,     kAtLeastZero)  \
  OPTION(centered,     kFlag)
#define RNNFAST_ADAM(OPTION)          \
  OPTION(lr,           kAtLeastZero)  \
  OPTION(beta1,        kFraction)     \
  OPTION(beta2,        kFraction)     \
  OPTION(eps,          kAtLeastZero)  \
  OPTION(weight_decay, kAtLeastZero)  \
  OPTION(decoupled,    kFlag)
#define RNNFAST_NADAM(OPTION)         \
  RNNFAST_ADAM(OPTION)                \
  OPTION(m_share,      kAtLeastZero)  \
  OPTION(g_share,      kAtLeastZero)

// ISA(name, supported)
//   name        of the namespace of its kernels, of simd/vec_<name>-inl.hpp and of its line in CMakeLists.txt
//   supported   whether this machine has it; read only where the ISA is in the build
// Best first. A cap leaves out what stands before it, also where this machine or build has no such ISA.
#define RNNFAST_ISAS(ISA)                                                                                           \
  ISA(avx512, CPU_HAS("avx512f") && CPU_HAS("avx512bw") && CPU_HAS("avx512cd") && CPU_HAS("avx512dq") &&            \
              CPU_HAS("avx512vl") && CPU_HAS("avx2") && CPU_HAS("fma") && CPU_HAS("bmi2"))                          \
  ISA(avx2, CPU_HAS("avx2") && CPU_HAS("fma") && CPU_HAS("bmi2"))                                                   \
  ISA(neon, true)                                                                                                   \
  ISA(baseline, true)
// clang-format on
