/* Products of weight matrices and a few rows: `y = x W^T + b`. M rows of x, O outputs, I inputs. */

#include "rows.h"

/* The order is that of `product.py`. */
struct matrix {
    const char *w_OI, *bias_O; /* the second is 0 where there is none */
    float *y_MO;
    int64_t outputs;
};

/* Products of the same rows with each of so many matrices. */
void farspan_products(const float *x_MI, const struct matrix *each, int64_t count, int64_t rows, int64_t inputs,
                      int64_t kind, team_fn *team, int64_t threads);
