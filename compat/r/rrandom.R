# R's random numbers, as refimpl.rrandom is held to them. The streams are defined here and nowhere else.
#   Rscript rrandom.R freeze DIR   writes DIR/rrandom-<kind>.json: definition, head, tail and sha256 of each stream
#   Rscript rrandom.R live DIR     writes DIR/<stream>.bin: all its numbers, little-endian doubles
# A stream is a seed, the way of sampling, words put into the state after seeding (or none), and calls made one
# after the other. Numbers are frozen as %a, so that no bit is lost.

SHOWN <- 8L       # numbers shown at each end of a long stream
IN_FULL <- 200L   # a stream up to this length is frozen in full

call_of <- function(fun, ...) list(fun = fun, args = list(...))
stream <- function(name, seed, ..., sample_kind = "Rejection", words = integer(0))
  list(name = name, seed = seed, sample_kind = sample_kind, words = as.integer(words), calls = list(...))

# Words that the twister tempers to very small and very large numbers: the tails of the normal quantile.
EXTREME_WORDS <- c(
  0, 0, 0, 270681289, 0, -1859099511, 0, -1778456523, 0, 1732586222, 0, 1035796168, 0, 316513203, 67670322, 0,
  338351611, -1859099509, 316513203, 316513203, 316513203, 50323322, 316513203, -2081554630, 316513203,
  -2128364585, 316513203, -396011439, -2146426364, -2146426364, 316513203, -1832011337)

uniform_streams <- function() list(
  stream("runif-unit", 42, call_of("runif", n = 1e6)),
  stream("runif-seed-zero", 0, call_of("runif", n = 1e6)),
  stream("runif-seed-negative", -7222009, call_of("runif", n = 1e6)),
  stream("runif-seed-largest", 2147483647, call_of("runif", n = 100)),
  stream("runif-seed-least", -2147483647, call_of("runif", n = 100)),
  stream("runif-seed-fraction", -3.99, call_of("runif", n = 10)),
  stream("runif-range", 1, call_of("runif", n = 1e6, min = -3, max = 7.5)),
  stream("runif-recycled", 2, call_of("runif", n = 20, min = c(0, 1, -5), max = c(1, 1, 10, 30)),
         call_of("runif", n = 3)),
  stream("runif-extreme-words", 1, call_of("runif", n = 40), words = EXTREME_WORDS))

normal_streams <- function() list(
  stream("rnorm-standard", 42, call_of("rnorm", n = 1e6)),
  stream("rnorm-seed-negative", -1, call_of("rnorm", n = 1e6)),
  stream("rnorm-clones", 7222009, call_of("rnorm", n = 100), call_of("rnorm", n = 100)),
  stream("rnorm-mean-sd", 99, call_of("rnorm", n = 1e6, mean = 100, sd = 15)),
  stream("rnorm-recycled", 3, call_of("rnorm", n = 30, mean = c(1, -2.5, 1e10), sd = c(1, 0, 3, 1e-10, 2)),
         call_of("runif", n = 3)),
  stream("rnorm-extreme-words", 1, call_of("rnorm", n = 20), words = EXTREME_WORDS))

exponential_streams <- function() list(
  stream("rexp-standard", 42, call_of("rexp", n = 1e6), call_of("runif", n = 3)),
  stream("rexp-seed-negative", -20, call_of("rexp", n = 1e6)),
  stream("rexp-rate", 5, call_of("rexp", n = 1e6, rate = 0.37)),
  stream("rexp-recycled", 6, call_of("rexp", n = 50, rate = c(1, 1e-3, 1e6, 7)), call_of("runif", n = 3)),
  stream("rexp-one-by-one", 8, call_of("rexp", n = 1), call_of("rexp", n = 1), call_of("rexp", n = 2),
         call_of("rexp", n = 5), call_of("runif", n = 3)),
  stream("rexp-extreme-words", 1, call_of("rexp", n = 20), words = EXTREME_WORDS))

# The same draws under both ways of sampling; each ends with uniforms, which tell how many were used up.
sampling_calls <- function() list(
  permutation = call_of("sample", x = 1e6),
  `with-replacement` = call_of("sample", x = 10, size = 1e6, replace = TRUE),
  `one-of-two` = call_of("sample", x = 2, size = 1e6, replace = TRUE),
  `part-of-many` = call_of("sample", x = 5e6, size = 1e5),
  `distinct-of-very-many` = call_of("sample", x = 1e9, size = 1e6),
  `two-to-the-16` = call_of("sample", x = 65536, size = 1e5, replace = TRUE),
  `two-to-the-16-and-one` = call_of("sample", x = 65537, size = 1e5, replace = TRUE),
  `two-to-the-31` = call_of("sample", x = 2147483648, size = 1e5, replace = TRUE),
  `two-to-the-40` = call_of("sample", x = 1099511627776, size = 1e5),
  `two-to-the-49-and-one` = call_of("sample", x = 562949953421313, size = 1000),
  values = call_of("sample", x = c(2.5, -1, 1e300, 7, 0), size = 100, replace = TRUE),
  `values-all` = call_of("sample", x = c(2.5, -1, 1e300, 7, 0)),
  `one-value` = call_of("sample", x = 0.5, size = 5, replace = TRUE),
  `a-fraction` = call_of("sample", x = 7.9),
  weighted = call_of("sample", x = 5, size = 1e6, replace = TRUE, prob = c(0.1, 0.4, 0.2, 0.25, 0.05)),
  `weighted-ties` = call_of("sample", x = 12, size = 1e5, replace = TRUE, prob = rep(c(1, 2, 0), 4)),
  `weighted-200` = call_of("sample", x = 200, size = 1e5, replace = TRUE, prob = rep(1, 200)),
  `walker-201` = call_of("sample", x = 201, size = 1e5, replace = TRUE, prob = rep(1, 201)),
  `walker-400` = call_of("sample", x = 400, size = 1e6, replace = TRUE, prob = (1:400 * 37) %% 101),
  `weighted-distinct` = call_of("sample", x = 300, size = 250, prob = (1:300 * 37) %% 101 + 0.5))

sampling_streams <- function() {
  calls <- sampling_calls()
  one <- function(name, kind) stream(paste0("sample-", tolower(kind), "-", name), 2009, calls[[name]],
                                     call_of("runif", n = 3), sample_kind = kind)
  c(lapply(names(calls), one, kind = "Rejection"), lapply(names(calls), one, kind = "Rounding"))
}

mixed_streams <- function() list(
  stream("mixed", 7222009, call_of("rnorm", n = 7), call_of("sample", x = 9), call_of("rexp", n = 11),
         call_of("runif", n = 624), call_of("sample", x = 3, size = 5, replace = TRUE, prob = c(1, 2, 3)),
         call_of("rnorm", n = 1000), call_of("rexp", n = 1000), call_of("sample", x = 70000, size = 1000),
         call_of("rnorm", n = 3)))

kinds <- function() list(runif = uniform_streams(), rnorm = normal_streams(), rexp = exponential_streams(),
                         sample = sampling_streams(), mixed = mixed_streams())

numbers <- function(stream) {
  suppressWarnings(set.seed(stream$seed, "Mersenne-Twister", "Inversion", stream$sample_kind))
  if (length(stream$words)) {
    state <- get(".Random.seed", envir = globalenv())
    state[2L] <- 1L
    state[3L + seq_along(stream$words)] <- stream$words
    assign(".Random.seed", state, envir = globalenv())
  }
  as.double(unlist(lapply(stream$calls, function(call) do.call(call$fun, call$args))))
}

write_doubles <- function(values, file) writeBin(values, file, size = 8L, endian = "little")

frozen <- function(stream) {
  values <- numbers(stream)
  file <- tempfile()
  on.exit(unlink(file))
  write_doubles(values, file)
  hex <- sprintf("%a", values)
  shown <- if (length(hex) <= IN_FULL) list(values = I(hex))
           else list(head = I(head(hex, SHOWN)), tail = I(tail(hex, SHOWN)))
  stream$words <- I(stream$words)
  c(stream, list(length = length(values)), shown, list(sha256 = digest::digest(file = file, algo = "sha256")))
}

provenance <- function(script) list(
  r = R.version.string, platform = R.version$platform, os = utils::sessionInfo()$running,
  c_library = system2("getconf", "GNU_LIBC_VERSION", stdout = TRUE), locale = Sys.getlocale("LC_COLLATE"),
  packages = list(base = as.character(packageVersion("base")), digest = as.character(packageVersion("digest")),
                  jsonlite = as.character(packageVersion("jsonlite"))),
  blas = unname(extSoftVersion()["BLAS"]), lapack = La_version(),
  script = basename(script), script_sha256 = digest::digest(file = script, algo = "sha256"),
  date = format(Sys.Date()))

freeze <- function(directory, script) {
  kinds <- kinds()
  for (kind in names(kinds)) {
    content <- list(kind = kind, provenance = provenance(script), streams = lapply(kinds[[kind]], frozen))
    text <- jsonlite::toJSON(content, auto_unbox = TRUE, digits = NA, pretty = TRUE)
    writeLines(text, file.path(directory, paste0("rrandom-", kind, ".json")))
  }
}

live <- function(directory) {
  for (stream in unlist(unname(kinds()), recursive = FALSE))
    write_doubles(numbers(stream), file.path(directory, paste0(stream$name, ".bin")))
}

main <- function() {
  script <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1L])
  arguments <- commandArgs(TRUE)
  switch(arguments[1L], freeze = freeze(arguments[2L], script), live = live(arguments[2L]),
         stop("usage: Rscript rrandom.R freeze|live DIR"))
}

main()
