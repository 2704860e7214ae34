//! Clusters of cells against their labels: Leiden at several resolutions and k-means, with several seeds; and, with
//! `--batch`, how far batches mix.
//!
//! ```text
//! cargo run --release --example clustering
//! cargo run --release --example clustering -- --input pbmc3k.h5ad --label louvain --resolutions .2,.5,1,2 --k 8
//! ```
//!
//! Nothing is predicted here, so genes and components are those of all cells; the labels come in only when clusters are
//! scored. In scanpy and scikit-learn the same is `highly_variable_genes`, `scale`, `pca`, `neighbors`, then `leiden` or
//! `KMeans`, `adjusted_rand_score` and its like; the metrics of batches are those of scib-metrics' `Benchmarker`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use clap::Parser;
use sc_eval::{Report, report};
use sc_examples::cells::{CellArgs, Cells};
use sc_examples::clusterings::{self, Method};
use sc_examples::end::end;
use sc_examples::progress::{bar, say};
use sc_examples::{integration, map, run};
use sc_prep::FeatureSpaceParams;

/// Cluster labelled cells without their labels, and say how well the clusters find them.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Args {
    #[command(flatten)]
    cells: CellArgs,
    #[command(flatten)]
    run: run::RunArgs,
    /// Resolutions of Leiden, separated by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = clusterings::resolution,
          default_value = "0.2,0.5,1,2")]
    resolutions: Vec<f64>,
    /// Numbers of clusters of k-means, separated by commas; the number of labels without it
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = run::at_least_1)]
    k: Vec<usize>,
    /// Clusterings by each method, with the seeds that follow --seed
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = run::at_least_1)]
    n_seeds: usize,
    /// The column of obs with the batches (donor, lane, study), to say how far they mix
    #[arg(long, value_name = "COLUMN")]
    batch: Option<String>,
    /// Highly variable genes to keep
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = run::at_least_1)]
    n_genes: usize,
    /// Principal components to cluster in
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = run::at_least_1)]
    n_components: usize,
    /// Cells to draw, with the shares of the labels as they are; all without it. Time grows with the square of the cells
    #[arg(long, value_name = "N", value_parser = run::at_least_1)]
    max_cells: Option<usize>,
    /// Leave out the maps
    #[arg(long)]
    no_map: bool,
    /// Folder of the results
    #[arg(long, value_name = "FOLDER", default_value = "results/clustering")]
    out: PathBuf,
}

const EXAMPLES: &str = "Examples:
  clustering                                             # the 700 embedded PBMCs
  clustering --input pbmc3k.h5ad --label louvain --resolutions .2,.5,1,2 --k 6,8,10
  clustering --input kang.h5ad --label cell_type --batch donor --out results/kang

Exit codes: 0 done, 1 failed, 2 usage, 3 input invalid.";

fn main() -> ExitCode {
    end(cluster(&Args::parse()))
}

fn cluster(args: &Args) -> Result<()> {
    let (started, clock) = (SystemTime::now(), Instant::now());
    report::check_folder(&args.out, args.run.force)?;
    args.run.set_threads()?;
    let max_cells = args.max_cells.map(|most| (most, args.run.seed));
    let cells = Cells::load(&CellArgs { group: args.batch.clone(), max_cells, ..args.cells.clone() })?;
    let batches = cells.groups.as_deref().zip(args.batch.as_deref());
    let batches = batches.map(|(groups, column)| integration::numbered(groups, column)).transpose()?;
    let ks = if args.k.is_empty() { vec![cells.labels.n_classes()] } else { args.k.clone() };
    let leiden = args.resolutions.iter().map(|&resolution| Method::Leiden(resolution));
    let methods: Vec<Method> = leiden.chain(ks.into_iter().map(Method::KMeans)).collect();
    let seeds = (0..args.n_seeds as u64).map(|i| args.run.seed.wrapping_add(i)).collect();
    let mut manifest = args.run.manifest("clustering", &cells)?;
    manifest.started(started);
    let mut last = Duration::ZERO;
    let mut lap = |manifest: &mut sc_eval::Manifest, step: &str| {
        manifest.duration(step, clock.elapsed() - last);
        last = clock.elapsed();
    };
    lap(&mut manifest, "read");

    let bar = bar(2 * methods.len() * args.n_seeds + 4);
    let step = |what: &str| {
        bar.set_message(what.to_owned());
        bar.inc(1);
    };
    step("principal components");
    let genes = FeatureSpaceParams { n_top_genes: args.n_genes, ..Default::default() };
    let pcs = map::components(&cells.log_normalized()?, &genes, args.n_components)?;
    step("neighbours");
    let graph = map::graph(pcs.view())?;
    lap(&mut manifest, "components and neighbours");
    let found = clusterings::compare(&cells.labels, (pcs.view(), &graph), methods, seeds, &bar)?;
    lap(&mut manifest, "clusterings and scores");
    step("batches");
    let of_batches = |batches: Vec<u32>| {
        let centred = integration::without_batch_means(pcs.view(), &batches);
        let embeddings = [("Components", pcs.view()), ("Without batch means", centred.view())];
        integration::table(&embeddings, &cells.labels, &batches, args.run.seed)
    };
    let integration = batches.map(of_batches).transpose()?;
    if integration.is_some() {
        lap(&mut manifest, "batches");
    }
    step("map");
    let place = || map::layout(&graph, args.run.seed, |step| bar.set_message(step.to_owned()));
    let map = (!args.no_map && cells.names.len() >= 3).then(place).transpose()?;
    lap(&mut manifest, "map");
    bar.finish_and_clear();

    manifest.parameters = args.parameters(&found);
    let mut report = Report::new("Clusters against labels", &cells.dataset, cells.labels.clone(), manifest);
    report.cells.clone_from(&cells.names);
    report.answer = Some(clusterings::headline(&found));
    report.key_figures = clusterings::key_figures(&found, &cells.labels);
    report.sections = clusterings::sections(&found, &cells.labels, &cells.names, map.as_ref());
    let mut text = clusterings::scores(&found, false).to_text();
    if let (Some(column), Some(table)) = (&args.batch, integration) {
        text = text + "\n" + &table.to_text();
        report.sections.insert(2, integration::section(column, table));
    }
    report.protocol = args.protocol(pcs.ncols());
    report.notes = cells.notes();
    report.write(&args.out, args.run.force)?;
    write!(std::io::stdout(), "{text}")?;
    say(&format!("report: {}", args.out.join("report.html").display()));
    Ok(())
}

impl Args {
    fn protocol(&self, n_components: usize) -> Vec<(String, String)> {
        let last = self.run.seed.wrapping_add(self.n_seeds as u64 - 1);
        [
            ("Each cell alone", "normalised to 10,000 counts, log1p".to_owned()),
            (
                "Learnt on all cells, without labels",
                format!(
                    "genes in at least 3 cells, at most {} of them by variability (seurat), mean and deviation of each \
                     (clipped at 10), {n_components} principal components; nothing is predicted, so no cell is held out",
                    self.n_genes
                ),
            ),
            ("Leiden", "modularity on the graph of 15 neighbours".to_owned()),
            ("k-means", "on the components, the best of 10 runs from k-means++".to_owned()),
            ("Seeds", format!("{} to {last}", self.run.seed)),
            ("Silhouette", "euclidean, in the components".to_owned()),
        ]
        .map(|(name, text)| (name.to_owned(), text))
        .to_vec()
    }

    fn parameters(&self, found: &clusterings::Found) -> Vec<(String, String)> {
        let methods: Vec<String> = found.methods.iter().map(|method| method.name()).collect();
        [
            ("methods", methods.join(",")),
            ("n_seeds", self.n_seeds.to_string()),
            ("batch", self.batch.clone().unwrap_or_else(|| "none".to_owned())),
            ("n_genes", self.n_genes.to_string()),
            ("n_components", self.n_components.to_string()),
            ("layer", self.cells.layer.clone()),
            ("min_cells_per_class", self.cells.min_cells_per_class.to_string()),
            ("max_cells", self.max_cells.map_or("all".to_owned(), |n| n.to_string())),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}
