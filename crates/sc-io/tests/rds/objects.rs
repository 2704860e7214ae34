//! Objects as the packages of R make them, with the slots that they have.

use super::writer::{NA, R, named, s4, strings, text};

/// Features × cells: three cells, four genes.
pub(crate) const COUNTS: [[f64; 3]; 4] = [[1.0, 0.0, 2.0], [0.0, 0.0, 0.0], [0.0, 5.0, 0.0], [3.0, 0.0, 7.0]];
pub(crate) const GENES: [&str; 4] = ["CD3D", "LYZ", "MS4A1", "GNLY"];
pub(crate) const CELLS: [&str; 3] = ["AAAC-1", "AAAG-1", "AAAT-1"];

pub(crate) fn dim(features: usize, cells: usize) -> R {
    R::Integer(vec![features as i32, cells as i32])
}

pub(crate) fn dimnames(features: Option<&[&str]>, cells: Option<&[&str]>) -> R {
    R::List([features, cells].map(|names| names.map_or(R::Null, strings)).to_vec())
}

/// `dgCMatrix` of columns of (row, value).
pub(crate) fn dgc(columns: &[Vec<(i32, f64)>], n_features: usize, names: R) -> R {
    let mut p = vec![0];
    columns.iter().for_each(|column| p.push(p[p.len() - 1] + column.len() as i32));
    s4(
        "dgCMatrix",
        vec![
            ("i", R::Integer(columns.iter().flatten().map(|e| e.0).collect())),
            ("p", R::Integer(p)),
            ("Dim", dim(n_features, columns.len())),
            ("Dimnames", names),
            ("x", R::Real(columns.iter().flatten().map(|e| e.1).collect())),
            ("factors", R::List(vec![])),
        ],
    )
}

/// Columns of (row, value) of `COUNTS`, for some of the cells and genes.
pub(crate) fn columns(genes: &[usize], cells: &[usize], scale: f64) -> Vec<Vec<(i32, f64)>> {
    let column = |&cell: &usize| {
        let values = genes.iter().enumerate().map(|(row, &gene)| (row as i32, COUNTS[gene][cell] * scale));
        values.filter(|e| e.1 != 0.0).collect()
    };
    cells.iter().map(column).collect()
}

pub(crate) fn counts() -> R {
    dgc(&columns(&[0, 1, 2, 3], &[0, 1, 2], 1.0), 4, dimnames(Some(&GENES), Some(&CELLS)))
}

/// A matrix with every value stored.
pub(crate) fn dense(values: Vec<f64>, features: &[&str], cells: &[&str]) -> R {
    let size = dim(features.len(), cells.len());
    R::Real(values).with("dim", size).with("dimnames", dimnames(Some(features), Some(cells)))
}

pub(crate) fn factor(codes: Vec<i32>, levels: &[&str]) -> R {
    R::Integer(codes).with("levels", strings(levels)).with("class", text("factor"))
}

pub(crate) fn data_frame(columns: Vec<(&str, R)>, row_names: R) -> R {
    named(columns).with("class", text("data.frame")).with("row.names", row_names)
}

pub(crate) fn meta_data(cells: &[&str]) -> R {
    let n = cells.len();
    let columns = vec![
        ("orig.ident", factor(vec![1; n], &["pbmc"])),
        ("nCount_RNA", R::Real((0..n).map(|i| i as f64 + 0.5).collect())),
        ("cell_type", factor([vec![2, NA], vec![1; n - 2]].concat(), &["B", "T"])),
        ("n_genes", R::Integer([vec![3, NA], vec![1; n - 2]].concat())),
        ("doublet", R::Logical(vec![0; n])),
        ("note", R::Strings([vec![Some("é".to_owned()), None], vec![Some(String::new()); n - 2]].concat())),
        ("coordinates", R::Real(vec![0.0; 2 * n]).with("dim", dim(n, 2))),
    ];
    data_frame(columns, strings(cells))
}

pub(crate) fn seurat(assays: Vec<(&str, R)>, active: &str, cells: &[&str]) -> R {
    let embedding = R::Real((0..2 * cells.len()).map(|i| i as f64).collect())
        .with("dim", dim(cells.len(), 2))
        .with("dimnames", dimnames(Some(cells), Some(&["PC_1", "PC_2"])));
    let pca = s4("DimReduc", vec![("cell.embeddings", embedding), ("key", text("PC_"))]);
    let ident = factor((0..cells.len() as i32).map(|i| i % 2 + 1).collect(), &["0", "1"]);
    s4(
        "Seurat",
        vec![
            ("assays", named(assays)),
            ("meta.data", meta_data(cells)),
            ("active.assay", text(active)),
            ("active.ident", ident.with("names", strings(cells))),
            ("graphs", R::List(vec![])),
            ("reductions", named(vec![("pca", pca)])),
            ("misc", R::Others),
            ("commands", named(vec![("f", R::Function)])),
            ("tools", R::Symbol("\u{1}NULL\u{1}".to_owned())),
        ],
    )
}

/// An assay of version 3 or 4.
pub(crate) fn assay(counts: R, data: R, scale_data: R, genes: &[&str]) -> R {
    s4(
        "Assay",
        vec![
            ("counts", counts),
            ("data", data),
            ("scale.data", scale_data),
            ("key", text("rna_")),
            (
                "meta.features",
                data_frame(vec![("vst.mean", R::Real(vec![0.5; genes.len()]))], strings(genes)),
            ),
        ],
    )
}

pub(crate) fn empty() -> R {
    R::Logical(vec![]).with("dim", dim(0, 0))
}

/// `features` or `cells` of an assay of version 5.
pub(crate) fn membership(names: &[&str], layers: &[(&str, &[usize])]) -> R {
    let is_member =
        layers.iter().flat_map(|(_, members)| (0..names.len()).map(|i| i32::from(members.contains(&i))));
    let layer_names: Vec<&str> = layers.iter().map(|l| l.0).collect();
    R::Logical(is_member.collect())
        .with("dim", dim(names.len(), layers.len()))
        .with("dimnames", dimnames(Some(names), Some(&layer_names)))
        .class("LogMap")
}

/// An assay of version 5: layers of (name, genes, cells, factor on the counts).
pub(crate) fn assay5(layers: &[(&str, &[usize], &[usize], f64)]) -> R {
    let matrix = |&(name, genes, cells, scale): &(&'static str, &[usize], &[usize], f64)| {
        (name, dgc(&columns(genes, cells, scale), genes.len(), dimnames(None, None)))
    };
    let layers: Vec<(&'static str, &[usize], &[usize], f64)> =
        layers.iter().map(|&(n, g, c, s)| (&*n.to_owned().leak(), g, c, s)).collect();
    let genes: Vec<(&str, &[usize])> = layers.iter().map(|l| (l.0, l.1)).collect();
    let cells: Vec<(&str, &[usize])> = layers.iter().map(|l| (l.0, l.2)).collect();
    let features = vec![("vf_rank", R::Integer(vec![2, NA, 1, 3]))];
    s4(
        "Assay5",
        vec![
            ("layers", named(layers.iter().map(matrix).collect())),
            ("cells", membership(&CELLS, &cells)),
            ("features", membership(&GENES, &genes)),
            ("meta.data", data_frame(features, R::Integer(vec![NA, -4]))),
        ],
    )
}

/// `DataFrame` of Bioconductor.
pub(crate) fn dframe(columns: Vec<(&str, R)>, row_names: R, n: usize) -> R {
    s4(
        "DFrame",
        vec![("rownames", row_names), ("nrows", R::Integer(vec![n as i32])), ("listData", named(columns))],
    )
}

pub(crate) fn experiment(with_alternative: bool) -> R {
    let list = |members| s4("SimpleList", vec![("listData", named(members))]);
    let assays = |members| s4("SimpleAssays", vec![("data", list(members))]);
    let rle = s4("Rle", vec![("values", strings(&["x", "y"])), ("lengths", R::Integer(vec![1, 2]))]);
    let columns_table = vec![("label", factor(vec![1, 2, 1], &["B", "T"])), ("batch", rle)];
    let umap = R::Real(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).with("dim", dim(3, 2));
    let mut internal = vec![("reducedDims", dframe(vec![("UMAP", umap)], R::Null, 3))];
    if with_alternative {
        let protein = dense(vec![1.0, 2.0, 3.0], &["CD3"], &CELLS);
        let se = s4(
            "SummarizedExperiment",
            vec![("assays", assays(vec![("counts", protein)])), ("NAMES", strings(&["CD3"]))],
        );
        let wrapped = s4("SummarizedExperimentByColumn", vec![("se", se)]);
        internal.push(("altExps", dframe(vec![("protein", wrapped)], R::Null, 3)));
    }
    let bare = || dgc(&columns(&[0, 1, 2, 3], &[0, 1, 2], 1.0), 4, dimnames(None, None));
    let log = dgc(&columns(&[0, 1, 2, 3], &[0, 1, 2], 0.5), 4, dimnames(None, None));
    let partitioning = s4("PartitioningByEnd", vec![("NAMES", strings(&GENES))]);
    let ranges = s4(
        "CompressedGRangesList",
        vec![
            ("partitioning", partitioning),
            ("elementMetadata", dframe(vec![("id", strings(&["g1", "g2", "g3", "g4"]))], R::Null, 4)),
        ],
    );
    s4(
        "SingleCellExperiment",
        vec![
            ("int_colData", dframe(internal, R::Null, 3)),
            ("int_metadata", named(vec![("mainExpName", text("gene"))])),
            ("rowRanges", ranges),
            ("colData", dframe(columns_table, strings(&CELLS), 3)),
            ("assays", assays(vec![("counts", bare()), ("logcounts", log)])),
        ],
    )
}
