//! Covariance matrix adaptation: a distribution that learns from ranked samples of it where, how far and in which direction to look.
//! Pure numerics; what a sample means, and which are ranked, is the strategy's business.
//!
//! Hansen 2016, "The CMA evolution strategy: a tutorial" (arXiv 1604.00772), with its weights for bad samples (active CMA). In many
//! dimensions the covariance matrix is a diagonal one (Ros and Hansen 2008, "A simple modification in CMA-ES achieving linear time
//! and space complexity"). Parameters without an order have a distribution of their own ([`Categories`]).

mod categories;
mod gaussian;
mod weights;

pub(crate) use categories::Categories;
pub(crate) use gaussian::Gaussian;
pub(crate) use weights::Weights;

#[cfg(test)]
mod tests;
