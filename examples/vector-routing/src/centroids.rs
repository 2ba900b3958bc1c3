//! The nearest of some centroids, by either distance. Knows no SQL.

/// What is near: as pgvector's `<->` (L2) or `<=>` (cosine).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Distance {
    /// Euclidean.
    L2,
    /// By direction alone.
    Cosine,
}

/// What a shard holds the neighbours of.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Centroid {
    shard: u32,
    vector: Vec<f32>,
}

#[derive(Debug)]
pub(crate) struct Centroids {
    distance: Distance,
    dimensions: usize,
    all: Vec<Centroid>,
}

impl Centroids {
    pub(crate) fn new(distance: Distance, mut all: Vec<Centroid>) -> Result<Self, String> {
        let dimensions = all.first().map_or(0, |centroid| centroid.vector.len());
        if dimensions == 0
            || all
                .iter()
                .any(|centroid| centroid.vector.len() != dimensions)
        {
            return Err(
                "centroids: there must be some, all of them with the same number of dimensions"
                    .to_owned(),
            );
        }
        if distance == Distance::Cosine {
            for Centroid { vector, .. } in &mut all {
                let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
                vector.iter_mut().for_each(|x| *x /= length);
            }
        }
        Ok(Centroids {
            distance,
            dimensions,
            all,
        })
    }

    /// Its shard, or what is wrong with the vector.
    pub(crate) fn nearest(&self, vector: &[f32]) -> Result<u32, String> {
        if vector.len() != self.dimensions {
            return Err(format!(
                "expected {} dimensions, not {}",
                self.dimensions,
                vector.len()
            ));
        }
        let far = |centroid: &Centroid| -> f32 {
            let pairs = vector.iter().zip(&centroid.vector);
            match self.distance {
                Distance::L2 => pairs.map(|(a, b)| (a - b) * (a - b)).sum(),
                // Of one length all, and the vector's own changes nothing about which is nearest.
                Distance::Cosine => -pairs.map(|(a, b)| a * b).sum::<f32>(),
            }
        };
        let nearest = self.all.iter().min_by(|a, b| far(a).total_cmp(&far(b)));
        nearest
            .map(|centroid| centroid.shard)
            .ok_or_else(|| "there are no centroids".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{Centroid, Centroids, Distance};

    fn nearest(distance: Distance, vector: &[f32]) -> Result<u32, String> {
        let centroid = |shard, vector: [f32; 2]| Centroid {
            shard,
            vector: vector.to_vec(),
        };
        Centroids::new(
            distance,
            vec![centroid(0, [1.0, 0.0]), centroid(1, [10.0, 10.0])],
        )?
        .nearest(vector)
    }

    #[test]
    fn the_distance_makes_a_difference() {
        assert_eq!(nearest(Distance::L2, &[1.0, 1.0]), Ok(0));
        assert_eq!(nearest(Distance::Cosine, &[1.0, 1.0]), Ok(1));
        assert_eq!(nearest(Distance::Cosine, &[1000.0, 1.0]), Ok(0));
        assert_eq!(nearest(Distance::L2, &[1000.0, 1.0]), Ok(1));
    }

    #[test]
    fn dimensions_must_agree() {
        assert_eq!(
            nearest(Distance::L2, &[1.0]),
            Err("expected 2 dimensions, not 1".to_owned())
        );
        assert!(Centroids::new(Distance::L2, Vec::new()).is_err());
    }
}
