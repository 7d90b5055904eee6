"""Thirty clinical notes, written for tests: no person is behind any of them."""

from __future__ import annotations

NOTES = (
    "CC: cough x 5 days.\n67 yo F w/ COPD and HTN, on lisinopril and tiotropium. No fever. Lungs: wheezing "
    "bilaterally. Start prednisone 40 mg.",
    "Mr B. returns for gout. Last flare in March, left great toe. Allopurinol 300 mg daily, uric acid 5.4. "
    "Denies flank pain.",
    "ED: 24 yo M, status asthmaticus, three prior intubations. Albuterol nebs, IV magnesium, "
    "methylprednisolone. Admit to MICU.",
    "Post-op day 2 after right hemicolectomy for adenocarcinoma. Afebrile. Pain controlled with "
    "hydromorphone. Ileus resolving.",
    "Pt c/o SOB and leg swelling ×2 wks. Hx: CHF, atrial fibrillation. Takes furosemide, apixaban. BNP 1240. "
    "Dx: acute on chronic heart failure.",
    "Diabetes clinic. HbA1c 8.1 %. Metformin 1 g bid, started empagliflozin. No retinopathy on last exam. "
    "Neuropathy in both feet.",
    "34 yo G2P1 at 31 wks with preeclampsia. BP 162/104, headache, no visual changes. Labetalol given, "
    "magnesium sulfate started.",
    "Nursing note: patient found on floor at 03:10. No head injury. Skin tear on left forearm. On warfarin, "
    "INR 2.6. MD notified.",
    "Dx: migraine without aura. Sumatriptan works, but chest tightness afterwards. Change to rizatriptan; "
    "consider propranolol.",
    "Wound check. Diabetic foot ulcer, 2 × 3 cm, no osteomyelitis on MRI. Finish amoxicillin/clavulanate on Friday.",
    "58 yo M, STEMI, s/p PCI to LAD. Aspirin, ticagrelor, atorvastatin, metoprolol. Echo: EF 40 %. Smoker, "
    "30 pack-years.",
    "Family meeting. Metastatic pancreatic cancer with liver mets; FOLFIRINOX stopped because of "
    "neutropenia. Wishes for hospice.",
    "Rheum f/u: RA well controlled on methotrexate and adalimumab. No synovitis. Folic acid weekly. Latent "
    "TB treated 2019.",
    "Child, 4 y, otitis media, third episode since winter. Amoxicillin. Rash after penicillin as an infant? "
    "Mother unsure.",
    "Psych: major depressive disorder, no SI. Sertraline 100 mg, sleeps better. Sister with bipolar "
    "disorder. Stop lorazepam slowly.",
    "Renal: ESRD on HD via left AVF. K 5.9. Missed one session. Sevelamer, epoetin alfa. No pericardial rub.",
    "Neuro: R MCA stroke, tPA at 14:20, NIHSS 14 → 6. No hemorrhage on repeat CT. Dysphagia persists; NPO. "
    "Hold clopidogrel.",
    "ID consult: MRSA bacteremia, source probably PICC line. Vancomycin trough 17. TTE without vegetations. "
    "Repeat cultures negative.",
    "GI: iron deficiency anemia, Hb 8.2. EGD: two ulcers, H. pylori positive. Omeprazole, clarithromycin, "
    "amoxicillin for 14 days.",
    "Allergy: anaphylaxis after cashews. Epinephrine IM, diphenhydramine. Discharged with two "
    "auto-injectors. Also eczema and hay fever.",
    "Heme: DVT of left calf after long flight. Factor V Leiden heterozygous. Rivaroxaban for three months. "
    "Mother had a PE.",
    "ICU day 6. Septic shock from pyelonephritis, norepinephrine weaned off. Meropenem day 5. AKI improving, "
    "creatinine 1.9.",
    "Derm: melanoma, left calf, Breslow 1.2 mm. Sentinel node negative. BRAF V600E mutated. Sunscreen. "
    "Psoriasis unchanged on apremilast.",
    "Geriatrics: Alzheimer dementia, more confused since oxybutynin. UTI ruled out. Stop oxybutynin. Falls "
    "twice this month.",
    "Ortho: hip fracture after a fall, ORIF yesterday. Delirium overnight, quetiapine 12.5 mg. Enoxaparin. "
    "Osteoporosis: start zoledronic acid.",
    "Pulm: ILD, UIP pattern on HRCT. Nintedanib causes diarrhea. 6MWT 310 m. No pulmonary hypertension on echo.",
    "Onc: HER2-positive breast cancer, cycle 3 of TCHP. Mucositis grade 2, nausea better with olanzapine. EF normal.",
    "Endo: Graves disease, methimazole 10 mg. Palpitations gone. TSH < 0.01. Mild ophthalmopathy; stop smoking.",
    "Urology: kidney stone 6 mm, L ureter. Tamsulosin, ketorolac. No hydronephrosis. Return if fever or chills.",
    "Peds: bronchiolitis, RSV positive, 92 % on room air. Supportive care, no antibiotics. Brother has "
    "cystic fibrosis.",
)
