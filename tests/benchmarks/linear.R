# The linear suite in R: lm, rms's ols and robcov, sandwich's vcovCL.
packages <- c("rms", "sandwich")

model <- as.formula(paste("y ~", paste0("x", 1:20, collapse = " + ")))
prepare <- function(frame)
  list(frame = frame, X = unname(cbind(1, as.matrix(frame[paste0("x", 1:20)]))), y = frame$y)
std_errors <- function(vcov) sqrt(diag(vcov))

tasks <- list(
  lm = list(
    stages = list(function(data, before) {
      fit <- lm(model, data$frame)
      s <- summary(fit)
      list(s$coefficients[, 1], s$coefficients[, 2], s$sigma, s$r.squared)
    }),
    check = unlist),
  arrays = list(
    stages = list(function(data, before) {
      fit <- lm.fit(data$X, data$y)
      sigma <- sqrt(sum(fit$residuals^2) / fit$df.residual)
      list(fit$coefficients, sigma * sqrt(diag(chol2inv(fit$qr$qr))), sigma)
    }),
    check = unlist),
  robcov = list(
    stages = list(function(data, before) ols(model, data$frame, x = TRUE, y = TRUE),
                  function(data, fit) robcov(fit, data$frame$g)),
    check = function(fit) c(coef(fit), std_errors(vcov(fit)))),
  vcov_cluster = list(
    stages = list(function(data, before) lm(model, data$frame),
                  function(data, fit) list(fit, vcovCL(fit, cluster = data$frame$g, type = "HC1"))),
    check = function(both) c(coef(both[[1]]), std_errors(both[[2]]))))
