use caf_search::task::*;
use caf_torch::*;
use caf_net::zoo::yolov5::*;
use caf_yolo::*;
use tch::*;
fn main(){
    let d=Detector::new(YoloConfig::new(Variant::N,6)).unwrap();
    let mut p=Params::init(d.graph(),1,Device::Cpu,Kind::Float).unwrap(); p.set_requires_grad(true);
    let loss=YoloLoss::new(d.config(),&Hyp::default(),320).unwrap();
    let x=Tensor::rand([8,3,320,320],(Kind::Float,Device::Cpu));
    let cl=x.permute([0,2,3,1]).contiguous().permute([0,3,1,2]);
    let t:Vec<Target>=(0..40).map(|i|Target{image:i%8,class:i%6,cx:0.1+0.02*i as f32,cy:0.5,w:0.1,h:0.15}).collect();
    for round in 0..3 { for (name,x) in [("nchw",&x),("nhwc",&cl)] {
        let mut times=vec![];
        for _ in 0..4 { let s=std::time::Instant::now();
            let h=forward(d.heads_graph(),&p,&[x],Mode::BatchStatistics).unwrap(); let f=s.elapsed();
            let l=loss.compute(&h.iter().collect::<Vec<_>>(),&t,&[]).unwrap(); let ll=s.elapsed();
            let _g=gradients(&l.total,&p.trainable(),GradOptions::default()).unwrap();
            times.push((s.elapsed().as_millis(), f.as_millis(), (ll-f).as_millis())); }
        times.sort(); println!("{round} {name} total,fwd,loss ms {:?} threads {}",times, tch::get_num_threads()); } }
}
